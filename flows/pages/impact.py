"""What something reached, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console

from flows.round.progress import printable

Fact = dict[str, Any]


def impact_page(console: Console, told: Fact) -> None:
    """Snapshots, checkpoints, evaluations and the rest, a line each."""
    for line in impact_lines(told):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def impact_lines(told: Fact) -> Iterator[str]:
    """The lines of an impact."""
    yield f"{told['id']}: {', '.join(f'{count:,} {table}' for table, count in told['began'].items())}"
    if not told["snapshots"] and not told["checkpoints"]:
        yield "  no training has used it"
    for one in told["snapshots"]:
        further = f", {one['by_weights']:,} more by weights" if one["by_weights"] else ""
        yield (
            f"  {one['snapshot_id']} (loop {one['loop']}, round {one['round']}): {one['examples']:,} of "
            f"{one['of']:,} examples, {100 * one['share']:.1f}%{further}"
        )
    for one in told["checkpoints"]:
        steps = (
            f", in {one['steps']:,} of {one['of_steps']:,} steps, {100 * one['share']:.1f}% of what was seen"
            if one["steps"]
            else ""
        )
        yield (
            f"  {one['checkpoint_id']} ({one['role']}, loop {one['loop']}, round {one['round']}): "
            f"{one['how']}{steps}"
        )
    if told["evaluations"]:
        yield f"  {len(told['evaluations']):,} evaluations"
    for one in told["rows"]:
        if one["table"] not in ("snapshots", "checkpoints", "evaluations"):
            yield f"  {one['rows']:,} {one['table']} ({one['what']})"
    if not told["whole"]:
        yield (
            "  (the lake is too large to count every later text: what weights reached is told by what "
            "snapshots say of their writers)"
        )
