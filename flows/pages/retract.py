"""What was taken back, who holds it, and how champions would be clean, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Fact = dict[str, Any]


def plan_lines(name: str, row: Fact | None, plans: list[Fact]) -> Iterator[str]:
    """What was put on record, and for each champion that holds it how it would be clean."""
    if row is not None:
        yield f"{row['retraction_id']}: {name} is taken back ({row['why']})"
        yield "later freezes leave out what was made from it; nothing is deleted"
    if not plans:
        yield f"no champion holds {name}"
    for one in plans:
        yield (
            f"loop {one['loop']}: champion {one['champion']} holds it; clean by "
            f"{len(one['again'])} trainings, which took {one['seconds']:.0f} s"
        )
        yield f"  begin from {one['clean'] or 'no checkpoint of this lake: the base itself holds it'}"
        for again in one["again"]:
            drawn = " drawn again, since a writer of it holds it," if again["drawn_again"] else ""
            yield (
                f"  {again['snapshot_id']}{drawn} without {again['left_out']:,} examples, then "
                f"{again['training_id']} again ({again['seconds'] or 0:.0f} s), in place of {again['made']}"
            )
