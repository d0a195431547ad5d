"""A critic: before each token of a response, the return to come (Schulman et al. 2017, arXiv 1707.06347).

A row is one sampled response as the tokens that were drawn, with the return after each and, where the loss is
clipped, the value that the critic gave it when it was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import pad

from schemas.job import Value
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Loss, Mean, Objective
from tasks.train.objectives.responses import check_numbers, labelled, shifted

PADDING = {"input_ids": 0, "labels": IGNORED, "returns": 0, "values": 0}


def value(settings: Value) -> Objective:
    """The objective under its own settings."""
    return Objective(
        "value",
        ("prompt", "token_ids", "returns", "values"),
        PADDING,
        partial(encode_value, clips=settings.clip is not None),
        partial(value_loss, settings=settings),
        nullable=() if settings.clip is not None else ("values",),
        head="token",
        role="value",
        dropout=False,
    )


def encode_value(tokenizer: Any, examples: pl.DataFrame, *, clips: bool = True) -> list[Encoded]:
    """Columns `prompt` (`messages`), `token_ids`, `returns` and `values` (a list of each, one entry a sampled
    token) as sequences; a unit is a sampled token. TrainingFailed names an example whose lists are not as
    long as its tokens, or hold what is no number.
    """
    prompts = prompt_tokens(tokenizer, prompts_of(examples, "prompt"))
    rows = examples.iter_rows(named=True)
    return [_encoded(prompt, row, clips) for prompt, row in zip(prompts, rows, strict=True)]


def _encoded(prompt: list[int], row: Mapping[str, Any], clips: bool) -> Encoded:
    check_numbers(row, ("returns", "values") if clips else ("returns",))
    tokens, returns = row["token_ids"], row["returns"]
    values = row["values"] if clips else [0.0] * len(tokens)
    ids, labels = labelled(prompt, tokens)
    before = torch.zeros(len(prompt))
    places = {
        name: torch.cat([before, torch.tensor(numbers, dtype=torch.float32)])
        for name, numbers in (("returns", returns), ("values", values))
    }
    units = int((labels[1:] != IGNORED).sum())
    return Encoded({"input_ids": ids, "labels": labels} | places, len(ids), len(ids), units)


def value_loss(model: Any, batch: Batch, *, settings: Value) -> Loss:
    """Half the squared difference of value and return at each sampled token, summed.

    A token's value is read at the position before it. With `clip` the larger of two counts: that of the
    value, and that of the value held within `clip` of the old one.
    """
    numbers = model(input_ids=batch["input_ids"]).logits.float()
    there = shifted(batch["labels"]) != IGNORED
    values, returns, old = numbers[there], _before(batch["returns"])[there], _before(batch["values"])[there]
    errors = (values - returns).square()
    clipped = torch.zeros_like(errors)
    if settings.clip is not None:
        moved = values - old
        others = (old + moved.clamp(-settings.clip, settings.clip) - returns).square()
        clipped = ((moved.abs() > settings.clip) & (others > errors)).float()
        errors = torch.maximum(errors, others)
    tokens = there.sum()
    return Loss(
        0.5 * errors.sum(),
        {
            "value_mean": Mean(values.sum(), tokens),
            "return_mean": Mean(returns.sum(), tokens),
            "value_clipped": Mean(clipped.sum(), tokens),
        },
    )


def _before(numbers: Tensor) -> Tensor:
    """Numbers of sampled tokens, each at the position before its token."""
    return pad(numbers[:, 1:], (0, 1))
