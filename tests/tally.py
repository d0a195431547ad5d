"""The fault campaign's tally: what was tried and what was survived, told once by however many processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

TALLY: dict[str, list[int]] = {}  # kind of fault -> how many were tried, how many survived


@contextmanager
def trial(kind: str) -> Iterator[None]:
    """One fault of a kind; it is survived where the block ends without an error."""
    count = TALLY.setdefault(kind, [0, 0])
    count[0] += 1
    yield
    count[1] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its tally on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = TALLY


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the tally of a worker that ends to those before; one that crashed left none."""
    for kind, counts in getattr(node, "workeroutput", {}).get("faults", {}).items():
        TALLY[kind] = [sum(pair) for pair in zip(TALLY.get(kind, [0, 0]), counts, strict=True)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the fault campaign came to, where it ran."""
    for kind, (tried, survived) in sorted(TALLY.items()):
        terminalreporter.write_line(f"faults, {kind}: {tried} tried, {survived} survived")
