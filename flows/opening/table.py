"""The lines on prompt files that a run begins with: the columns recognised, and the records taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.opening.admission import Tally
from tasks.admit.apart import REASONS

_WIDEST = 40  # characters of a file's name over its column
_SHOWN = 8  # names of columns that are not read


def admission_lines(tallies: Sequence[Tally]) -> list[str]:
    """A line a file, and the table: a column a file, in it the records read, refused and taken."""
    if not tallies:
        return []
    lines = [line for one in tallies for line in _recognised(one)]
    names = [Path(one.file).name[-_WIDEST:] for one in tallies]
    rows = [("records read", [one.read for one in tallies])]
    for reason in REASONS:
        counts = [one.refused.get(reason, 0) for one in tallies]
        if any(counts):
            rows.append((f"- {reason}", counts))
    rows.append(("held out, never trained on", [one.held_out for one in tallies]))
    rows.append(("to train on", [one.training for one in tallies]))
    for what, counts in (
        ("  of these with a worked solution", [one.worked for one in tallies]),
        ("  taken without a reference", [one.unanswered for one in tallies]),
    ):
        if any(counts):
            rows.append((what, counts))
    wide = max(len(what) for what, _ in rows)
    columns = [max(len(name), 9) for name in names]
    lines.append("  ".join([" " * (wide + 2), *(f"{n:>{w}}" for n, w in zip(names, columns, strict=True))]))
    for what, counts in rows:
        cells = (f"{count:>{width},}" for count, width in zip(counts, columns, strict=True))
        lines.append("  ".join([f"  {what:<{wide}}", *cells]))
    return lines


def _recognised(one: Tally) -> list[str]:
    roles = ", ".join(role if role == name else f"{role} from {name}" for role, name in one.columns.items())
    unread = f"; not read: {', '.join(map(repr, one.unread[:_SHOWN]))}" if one.unread else ""
    more = f" and {len(one.unread) - _SHOWN} more" if len(one.unread) > _SHOWN else ""
    splits = f"; splits not read: {', '.join(one.splits_unread)}" if one.splits_unread else ""
    lines = [f"{one.file} ({one.format}): {roles}{unread}{more}{splits}"]
    if one.parted:
        lines.append(
            f"{one.file}: in {one.parted:,} lines the rejected dialogue parts from the chosen one before its "
            "last answer: the prompt and the reference are the chosen one's"
        )
    return lines
