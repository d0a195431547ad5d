"""A replay as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SHOWN = 5  # tensors


def replay_lines(told: dict[str, Any]) -> Iterator[str]:
    """Whether a checkpoint came out the same, and if not, what differs and how far."""
    verdict = "the same weights" if told["same"] else "OTHER weights"
    yield f"{told['checkpoint_id']}: {verdict}, {told['steps']} steps in {told['seconds']:.0f} s"
    yield f"  on record {told['recorded']}"
    yield f"  replayed  {told['replayed']}"
    for one in told["differs"]:
        yield f"  {one['what']}: {one['then']} then, {one['now']} now"
    if not told["same"] and not told["differs"]:
        yield "  devices and libraries are those of then"
    if told["first_step"] is not None:
        yield f"  losses differ from step {told['first_step']} on"
    if told["tensors"] is None:
        yield "  how far apart cannot be said: the lake lacks the weights on record"
    for one in (told["tensors"] or [])[:SHOWN]:
        if one["largest"] is None:
            yield f"  {one['name']}: not in both, or of another shape"
        else:
            share = f"{one['values']:,} of {one['of']:,} values"
            yield f"  {one['name']}: up to {one['largest']:.3g} apart in {share}"
    if len(told["tensors"] or []) > SHOWN:
        yield f"  and {len(told['tensors']) - SHOWN} more tensors (--json has all)"
