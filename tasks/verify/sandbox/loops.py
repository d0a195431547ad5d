"""The candidate's asynchronous iterators and contexts in the child, each step on one lasting loop."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_loops: list[Any] = []


def _run(awaitable: Any) -> Any:
    if not _loops:
        _loops.append(sys.modules["asyncio"].new_event_loop())
    return _loops[0].run_until_complete(awaitable)


def step(value: Any, given: Any) -> list[Any]:
    """The next value of an asynchronous iterator, and whether it had ended."""
    try:
        return [[_run(value.asend(given) if hasattr(value, "asend") else value.__anext__())], False]
    except StopAsyncIteration:
        return [[], True]


def enter(value: Any) -> Any:
    """What an asynchronous context gives at its beginning."""
    return _run(type(value).__aenter__(value))


def leave(value: Any) -> Any:
    """Its end, without an exception."""
    return _run(type(value).__aexit__(value, None, None, None))


def iterate(value: Any) -> Any:
    """The asynchronous iterator of what may be iterated."""
    return type(value).__aiter__(value)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "aiterate": iterate,
    "step": step,
    "aenter": enter,
    "aleave": leave,
}
