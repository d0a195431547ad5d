"""The parts of a loss over an optimizer step: each a mean over units of its own, however the step is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tasks.train.objectives.objective import Encoded, Loss, Mean


def units_of(examples: Sequence[Encoded]) -> dict[str, int]:
    """What each part of the examples' loss is a mean over, by name."""
    names = examples[0].counts
    return {part: sum(example.counts[part] for example in examples) for part in names}


def scaled(loss: Loss, units: Mapping[str, int], factor: float) -> Tensor:
    """A micro-batch's share of the step's loss, `units` being the whole step's, times a factor."""
    parts = [total * (factor / max(units[part], 1)) for part, total in loss.parts.items()]
    return sum(parts[1:], parts[0])


def measured(loss: Loss, examples: Sequence[Encoded]) -> dict[str, Mean]:
    """Each part of a micro-batch's loss, and what else was measured, as sums and counts."""
    units = units_of(examples)
    parts = {part: Mean(total, total.new_tensor(units[part])) for part, total in loss.parts.items()}
    return parts | loss.metrics
