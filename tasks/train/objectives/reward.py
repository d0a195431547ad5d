"""A preference model (Bradley and Terry 1952): of two answers to a prompt, the preferred one scores higher.

A row is a pair, `chosen` and `rejected` as answers to `prompt` (or to the conversation in `messages`), and
the `probability` that chosen is the better one (null: 1, a person's choice). A text's score is what the
model's head says at its last token, the end of the turn. With certain labels the loss is TRL's
RewardTrainer's; soft ones are those of Constitutional AI (Bai et al. 2022, arXiv 2212.08073).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from schemas.job import Reward
from tasks.train.objectives.dpo import PADDING, encode_dpo, stacked
from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Loss, Mean, Objective

PROBABILITY = "probability"


def reward(settings: Reward) -> Objective:
    """The objective under its own settings."""
    return Objective(
        "reward",
        ("prompt", "chosen", "rejected", PROBABILITY),
        PADDING,
        partial(encode_reward, hard=settings.labels == "hard"),
        partial(reward_loss, settings=settings),
        nullable=(PROBABILITY,),
        head="sequence",
        role="reward",
        dropout=False,
    )


def encode_reward(tokenizer: Any, examples: pl.DataFrame, hard: bool = False) -> list[Encoded]:
    """Pairs as objective `dpo` has them, each with its probability (`hard`: 1 where chosen is the likelier
    one, 0 where it is not); a unit is a pair.
    """
    labels = examples[PROBABILITY].cast(pl.Float64).fill_null(1.0)
    certain = pl.select(pl.when(labels == 0.5).then(labels).otherwise((labels > 0.5).cast(pl.Float64)))
    probabilities = (certain.to_series() if hard else labels).to_list()
    return [
        replace(one, tensors=one.tensors | {PROBABILITY: torch.tensor([probability])})
        for one, probability in zip(encode_dpo(tokenizer, examples), probabilities, strict=True)
    ]


def reward_loss(model: Any, batch: Batch, *, settings: Reward) -> Loss:
    """-(p log sigmoid(margin) + (1 - p) log sigmoid(-margin)) of each pair, in nats, summed; `centring` times
    the square of the two scores' sum comes on top (Eisenstein et al. 2023, arXiv 2312.09244).

    The margin is chosen's score less rejected's, p the probability that chosen is better.
    """
    ids, labels = stacked(batch)
    last = (torch.arange(labels.shape[1], device=labels.device) * (labels != IGNORED)).amax(dim=1)
    numbers = model(input_ids=ids).logits.float()
    scores = numbers.gather(1, last[:, None]).view(2, -1)
    margins = scores[0] - scores[1]
    probability = batch[PROBABILITY].flatten().to(margins.dtype)
    losses = -(probability * logsigmoid(margins) + (1 - probability) * logsigmoid(-margins))
    if settings.centring:
        losses = losses + settings.centring * scores.sum(dim=0).square()
    pairs = torch.tensor(len(margins), device=margins.device)

    def mean(values: Tensor) -> Mean:
        return Mean(values.sum(), pairs)

    return Loss(
        losses.sum(),
        {
            "reward_accuracy": mean((margins > 0).float()),
            "reward_margin": mean(margins),
            "reward_chosen": mean(scores[0]),
        },
    )
