"""Responses to prompts as tokens and labels, and what a model makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from schemas.errors import TrainingFailed
from tasks.train.objectives.objective import IGNORED


def labelled(prompt: list[int], response: list[int], earlier: Sequence[range] = ()) -> tuple[Tensor, Tensor]:
    """One sequence's ids and labels, int32; labels are on the response and the places of `earlier` turns."""
    ids = torch.tensor(prompt + response, dtype=torch.int32)
    labels = torch.full_like(ids, IGNORED)
    for places in (*earlier, range(len(prompt), len(ids))):
        labels[places.start : places.stop] = ids[places.start : places.stop]
    return ids, labels


def check_numbers(row: Mapping[str, Any], columns: Sequence[str]) -> None:
    """TrainingFailed, by its `example_id`, unless an example has `token_ids`, and in each column that is not
    null a finite number for each of them.
    """
    name, tokens = row["example_id"], row["token_ids"]
    if not tokens or any(token is None or token < 0 for token in tokens):
        raise TrainingFailed(f"example {name} has no token ids that a model can read")
    for column in columns:
        values: list[float | None] | None = row.get(column)
        if values is None:  # of those that may not be null, it has been looked at
            continue
        if len(values) != len(tokens):
            raise TrainingFailed(f"example {name} has {len(values)} {column} for {len(tokens)} tokens")
        if not all(value is not None and math.isfinite(value) for value in values):
            raise TrainingFailed(f"example {name} has {column} that are no finite numbers")


def shifted(labels: Tensor) -> Tensor:
    """Labels moved one to the left: position t predicts t + 1. A first token cannot be predicted."""
    return pad(labels[:, 1:], (0, 1), value=IGNORED)


def cross_entropies(
    model: Any, input_ids: Tensor, labels: Tensor, reduction: Literal["sum", "none"]
) -> Tensor:
    """Cross-entropy of the labelled tokens (nats): their sum, or (sequences * length) values, 0 elsewhere.

    Padding is on the right, where causal attention keeps it out of every labelled position: without
    an attention mask the model takes its fast causal path.
    """
    logits = model(input_ids=input_ids, use_cache=False).logits
    # Labels move, rather than logits, which would be copied.
    targets = shifted(labels).flatten()
    return cross_entropy(logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction=reduction)


@dataclass(frozen=True)
class Taken:
    """What a model makes of a batch's labelled tokens, one row a token, whatever the padding.

    `rows` and `places` say where each token stands in the batch; `logprobs` is its log-probability (nats),
    `whole` are those of the whole vocabulary, (tokens, vocabulary).
    """

    rows: Tensor
    places: Tensor
    logprobs: Tensor
    whole: Tensor

    def entropy(self) -> Tensor:
        """The entropy of the distribution that each token was taken from, nats."""
        return -(self.whole.exp() * self.whole).sum(dim=-1)


def taken(model: Any, input_ids: Tensor, labels: Tensor, temperature: Tensor) -> Taken:
    """The labelled tokens by the model's distribution at a temperature of each sequence, (sequences,)."""
    logits = model(input_ids=input_ids, use_cache=False).logits
    rows, before = torch.nonzero(labels[:, 1:] != IGNORED, as_tuple=True)
    whole = (logits[rows, before].float() / temperature[rows, None]).log_softmax(dim=-1)
    places = before + 1
    return Taken(rows, places, whole.gather(1, labels[rows, places][:, None])[:, 0], whole)
