"""Progress a person can watch: the round, the step, rows done, and when it will be over.

Steps report to whatever reporter is active: a live bar on a terminal, one line a step elsewhere, and
nothing under a Prefect worker, whose logs say the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining


class Advance(Protocol):
    """Called with the number of rows newly done, and a note to show beside them. `held` rows were in the log
    already: they count as done, but not for the time that the others will take.
    """

    def __call__(self, rows: int, *, held: bool = False, note: str = "") -> None:
        """So many rows more."""
        ...


class Reporter(Protocol):
    """Where progress goes."""

    def say(self, line: str) -> None:
        """One line that stays."""
        ...

    def begin(self, label: str, total: int | None, unit: str) -> Advance:
        """A step begins; the result is called with the number of rows newly done."""
        ...

    def end(self, label: str, summary: str, seconds: float) -> None:
        """The step is over."""
        ...


class Silent:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def begin(self, label: str, total: int | None, unit: str) -> Advance:
        """Nothing to advance."""
        return _nothing

    def end(self, label: str, summary: str, seconds: float) -> None:
        """Nothing."""


class Lines:
    """One line a step, for logs and pipes; a long step also says how far it is."""

    EVERY = 15.0  # seconds between two lines of one step

    def say(self, line: str) -> None:
        """The line, on standard error."""
        print(printable(line), file=sys.stderr, flush=True)

    def begin(self, label: str, total: int | None, unit: str) -> Advance:
        """Counts, and says so from time to time, with the time left."""
        start = shown_at = time.monotonic()
        count = from_log = 0

        def advance(rows: int, *, held: bool = False, note: str = "") -> None:
            nonlocal count, from_log, shown_at
            count += rows
            from_log += rows if held else 0
            now = time.monotonic()
            if total and now - shown_at >= self.EVERY:
                shown_at = now
                remaining = (now - start) * (total - count) / max(count - from_log, 1)
                suffix = f"; {note}" if note else ""
                self.say(f"  {label}: {count:,} of {total:,} {unit}, about {remaining:.0f} s left{suffix}")

        return advance

    def end(self, label: str, summary: str, seconds: float) -> None:
        """What the step did and how long it took."""
        self.say(f"  {label}: {summary} in {seconds:.1f} s")


class Live:
    """A bar for the running step, and a line for each finished one, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("  {task.description:<26}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._console = console

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """The line, above the bar."""
        self._console.print(printable(line), highlight=False, markup=False)

    def begin(self, label: str, total: int | None, unit: str) -> Advance:
        """A bar for the step."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        current = self._bar.add_task(label, total=total, unit=unit, note="")

        def advance(rows: int, *, held: bool = False, note: str = "") -> None:
            if held and rows > 0:  # the rate is of what was done here
                before = next(task.completed for task in self._bar.tasks if task.id == current)
                self._bar.reset(current, completed=int(before) + rows, total=total)
            else:
                self._bar.advance(current, rows)
            if note:
                self._bar.update(current, note=note)

        return advance

    def end(self, label: str, summary: str, seconds: float) -> None:
        """The bar becomes a line."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self.say(f"  {label:<26} {summary} in {seconds:.1f} s")


def _nothing(rows: int, *, held: bool = False, note: str = "") -> None:
    """Nobody looks."""


def printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters are shown, not sent; newlines are kept."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


_SILENT: Reporter = Silent()
_active: ContextVar[Reporter] = ContextVar("reporter", default=_SILENT)


def reporter() -> Reporter:
    """The active reporter."""
    return _active.get()


@contextmanager
def reporting(to: Reporter) -> Iterator[None]:
    """Send progress there for the time of the block."""
    token = _active.set(to)
    try:
        yield
    finally:
        _active.reset(token)
