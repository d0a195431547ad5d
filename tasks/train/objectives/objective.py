"""What a training objective is: what a row of a snapshot becomes, and the pure function from batch to loss.

An objective is a value; the loop knows nothing else about it. `encode` turns whole columns into one
`Encoded` per example; `loss` takes a model and a padded batch of them and returns a *sum* over its
units (tokens, pairs, steps of reasoning: whatever the objective averages over). The loop divides by
the units of the whole optimizer step, so neither micro-batches nor devices change the loss. A loss of several
streams, each a mean over units of its own (all tokens, those of some answers), gives a sum and a count of
each.

How others fit without a change to the loop:

- Process labels: a label at each step's last token and `IGNORED` elsewhere, one unit a step.
- A teacher that is asked while the student trains: `with_teacher`.

An objective whose model says numbers instead of tokens names its `head` (tasks/models/heads.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tasks.models.heads import Head

IGNORED = -100  # the label of a position that carries no loss, as in transformers and TRL
BASE_LOGPROBS = "base_logprobs"  # the column of a batch with the numbers of `Objective.base_logprobs`

LOSS = "loss"  # the part of a loss that is no further stream

Batch = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example, ready to be batched.

    `tensors`: one-dimensional, by column. `length`: tokens of its longest sequence. `tokens`: tokens
    of all its sequences. `units`: what its loss is a sum over; `streams`: likewise of each further stream.
    """

    tensors: dict[str, Tensor]
    length: int
    tokens: int
    units: int
    streams: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The units of each part of its loss, by name."""
        return {LOSS: self.units, **self.streams}


class Mean(NamedTuple):
    """Something worth recording: a sum over a batch, and over how many (both scalars)."""

    total: Tensor
    over: Tensor


@dataclass(frozen=True, slots=True)
class Loss:
    """A batch's loss, summed over its units (scalar, differentiable), and means worth recording.

    `streams` are further sums, each over the units that `Encoded.streams` counts by its name; the step's loss
    is the sum of all means. The names of streams and means are the same for every batch, whatever is in it.
    """

    total: Tensor
    metrics: dict[str, Mean] = field(default_factory=dict)
    streams: dict[str, Tensor] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Tensor]:
        """The sums that it is made of, by name."""
        return {LOSS: self.total, **self.streams}


@dataclass(frozen=True)
class Objective:
    """What to train for. A snapshot needs `columns` besides `example_id`; `nullable` may have nulls.

    `padding` gives each tensor of `Encoded` the value that fills it up to the batch's longest.
    `base_logprobs` computes, once and from the frozen base, numbers of each example that the loss needs:
    of shape (examples, numbers), they come with every batch as `BASE_LOGPROBS`. Numbers of tokens may be as
    many as the batch's longest example has; they come filled up with zeros. `head` is what the model says
    (with "sequence" and "token" its `logits` are numbers, (rows, length)), `role` that of its checkpoint.
    Without `dropout` the model is trained without any, and so it is where there are `base_logprobs`.
    `with_teacher` gives the same objective with a model to ask and a seed for draws; None: it asks nobody.
    """

    name: str
    columns: tuple[str, ...]
    padding: Mapping[str, int]
    encode: Callable[[PreTrainedTokenizerBase, pl.DataFrame], list[Encoded]]
    loss: Callable[[Any, Batch], Loss]
    nullable: tuple[str, ...] = ()
    base_logprobs: Callable[[Any, Batch], Tensor] | None = None
    head: Head = "lm"
    role: str = "policy"
    dropout: bool = True
    with_teacher: Callable[[Any, int], Objective] | None = None
