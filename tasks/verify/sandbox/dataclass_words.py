"""The words of `dataclasses` that tests use on an object of the candidate's, which is here only by handle.

They are asked of the child, which gives plain values.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Any

from tasks.verify.sandbox.remote import Remote


def prepare() -> None:
    """Makes `asdict`, `astuple`, `fields`, `replace` and `is_dataclass` take handles."""
    words: dict[str, Callable[..., Any]] = {
        "asdict": _as_dict,
        "astuple": lambda subject, **_: _asked(subject, "astuple"),
        "fields": lambda subject: tuple(
            types.SimpleNamespace(name=each) for each in _asked(subject, "fields")
        ),
        "replace": lambda subject, **changes: _asked(subject, "replace", changes),
        "is_dataclass": lambda subject: _asked(subject, "is_dataclass") is True,
    }
    for name, word in words.items():
        setattr(dataclasses, name, _for_handles(getattr(dataclasses, name), word))


def _for_handles(own: Callable[..., Any], asked: Callable[..., Any]) -> Callable[..., Any]:
    def word(subject: Any, **keywords: Any) -> Any:
        return (asked if isinstance(subject, Remote) else own)(subject, **keywords)

    return word


def _as_dict(subject: Remote, dict_factory: Callable[..., Any] | None = None) -> Any:
    value = _asked(subject, "asdict")
    return dict_factory(list(value.items())) if dict_factory and type(value) is dict else value


def _asked(subject: Remote, *question: Any) -> Any:
    asks, number, *_ = subject._ratchet
    return asks.ask("dataclass", number, *question)
