"""Which examples meet in which optimizer step, on which device, and how they become padded tensors.

Order depends on the seed, the epoch and the example ids alone, never on a library's random stream.
Optimizer steps are plain shuffles: grouping examples of like length into the same step would pad
less, but tie length to the gradient. Lengths are sorted only inside a step, when its examples are
dealt to devices and cut into micro-batches, which changes no gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tasks.train.objectives.objective import Encoded


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step: its number (0-based), its epoch (0-based) and its examples' row numbers."""

    number: int
    epoch: int
    rows: tuple[int, ...]


def plan(example_ids: Sequence[str], *, seed: int, epochs: int, batch_size: int) -> list[Step]:
    """All steps of a training. Each example is once in each epoch; an epoch's last step may be short."""
    steps: list[Step] = []
    for epoch in range(epochs):
        order = _shuffled(example_ids, f"{seed}:{epoch}")
        for start in range(0, len(order), batch_size):
            steps.append(Step(len(steps), epoch, tuple(order[start : start + batch_size])))
    return steps


def _shuffled(example_ids: Sequence[str], salt: str) -> list[int]:
    keys = [hashlib.sha256(f"{salt}:{example_id}".encode()).digest() for example_id in example_ids]
    return sorted(range(len(keys)), key=keys.__getitem__)


def micro_batches(
    rows: Sequence[int], lengths: Sequence[int], *, size: int | None, device: int, devices: int
) -> list[list[int]]:
    """One device's share of a step, longest first, cut into batches of at most `size` (None: one).

    Every device gets equally many batches, as collective operations need; some may be empty.
    """
    order = sorted(rows, key=lambda row: (-lengths[row], row))
    most = -(-len(order) // devices)
    share, size = order[device::devices], size or most
    return [share[start : start + size] for start in range(0, most, size)]


def collate(
    examples: Sequence[Encoded], padding: Mapping[str, int], device: torch.device
) -> dict[str, Tensor]:
    """Tensors of shape (examples, longest), padded on the right; whole numbers are int64."""
    batch = {}
    for name in examples[0].tensors:
        rows = [example.tensors[name] for example in examples]
        padded = pad_sequence(rows, batch_first=True, padding_value=padding.get(name, 0)).to(device)
        batch[name] = padded if padded.is_floating_point() else padded.long()
    return batch
