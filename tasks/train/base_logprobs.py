"""The frozen base's log-probabilities of each example, computed once before the first optimizer step.

The model is still the base then: this comes before a save is loaded, so a resumed training computes the
same numbers again, in the same batches, to the same bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from tasks.train.batches import collate, micro_batches
from tasks.train.objectives.objective import BASE_LOGPROBS, Encoded, Objective


def with_base_logprobs(
    objective: Objective, accelerator: Accelerator, base: Any, encoded: list[Encoded], size: int
) -> list[Encoded]:
    """The examples, each with the base's log-probabilities where the objective needs them, `size` at a time.

    `base` is the prepared model, on every device at once: each computes its share, all get all.
    """
    if objective.base_logprobs is None:
        return encoded
    shares = micro_batches(
        range(len(encoded)),
        [example.length for example in encoded],
        size=size,
        device=accelerator.process_index,
        devices=accelerator.num_processes,
    )
    base.eval()  # no dropout
    with torch.no_grad():
        logprobs = [_logprobs(objective, accelerator, base, encoded, rows) for rows in shares]
    base.train()
    widest = torch.tensor([max(values.shape[1] for values in logprobs)], device=accelerator.device)
    width = int(accelerator.gather(widest).max())
    numbers = torch.zeros(len(encoded), width, device=accelerator.device)
    for rows, values in zip(shares, logprobs, strict=True):
        numbers[rows, : values.shape[1]] = values[: len(rows)].float()
    numbers = accelerator.reduce(numbers, "sum").cpu()
    return [
        replace(example, tensors=example.tensors | {BASE_LOGPROBS: row})
        for example, row in zip(encoded, numbers, strict=True)
    ]


def _logprobs(
    objective: Objective, accelerator: Accelerator, base: Any, encoded: list[Encoded], rows: list[int]
) -> Tensor:
    """A batch's log-probabilities, (examples, numbers); a device with no rows left computes row 0 in vain."""
    assert objective.base_logprobs is not None
    examples = [encoded[row] for row in rows or [0]]
    return objective.base_logprobs(base, collate(examples, objective.padding, accelerator.device))
