"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), demonstrations among the pairs.

A row is a pair, `chosen` over `rejected` as answers to `prompt` (or to the conversation in `messages`), or,
where `rejected` is null, a demonstration: a response to learn as supervised fine-tuning does, so that pairs
about one skill do not unlearn another. Each counts as one unit. A pair's two responses are always in one
forward pass.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad
from transformers import PreTrainedTokenizerBase

from schemas.job import Dpo
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.models.turns import answer_tokens
from tasks.train.objectives.objective import BASE_LOGPROBS, IGNORED, Batch, Encoded, Loss, Mean, Objective
from tasks.train.objectives.responses import (
    cross_entropies,
    labelled,
    shifted,
)

PADDING = {"chosen_ids": 0, "chosen_labels": IGNORED, "rejected_ids": 0, "rejected_labels": IGNORED}


def dpo(settings: Dpo) -> Objective:
    """The objective under its own settings."""
    return Objective(
        "dpo",
        ("prompt", "chosen", "rejected"),
        PADDING,
        encode_dpo,
        partial(dpo_loss, settings=settings),
        nullable=("rejected",),
        base_logprobs=base_logprobs,
    )


def encode_dpo(tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame) -> list[Encoded]:
    """Columns `prompt`, `chosen` and `rejected` (null: a demonstration) as two labelled sequences each."""
    prompts = prompt_tokens(tokenizer, prompts_of(examples, "prompt"))
    chosen = answer_tokens(tokenizer, examples["chosen"].to_list())
    texts = examples["rejected"].to_list()
    rejected = answer_tokens(tokenizer, [text or "" for text in texts])
    return [
        _encoded(prompt, left, None if text is None else right)
        for prompt, left, text, right in zip(prompts, chosen, texts, rejected, strict=True)
    ]


def _encoded(prompt: list[int], chosen: list[int], rejected: list[int] | None) -> Encoded:
    sequences = (
        *labelled(prompt, chosen),
        *(labelled([], []) if rejected is None else labelled(prompt, rejected)),
    )
    lengths = len(sequences[0]), len(sequences[2])
    return Encoded(dict(zip(PADDING, sequences, strict=True)), max(lengths), sum(lengths), 1)


def base_logprobs(model: Any, batch: Batch) -> Tensor:
    """The frozen base's log-probabilities of chosen and rejected: (examples, 2), nats, 0 for none."""
    return _responses(model, batch)[0]


def dpo_loss(model: Any, batch: Batch, *, settings: Dpo) -> Loss:
    """-log sigmoid(beta * margin) of each pair, plus mean cross-entropies by their weights.

    The cross-entropies are of each demonstration and, by `chosen_weight`, of each pair's chosen response.

    The margin is the log-ratio to the base of chosen less that of rejected; a log-ratio is summed
    over the response's tokens, its end included, or averaged if `length_normalised`. Rewards that are
    recorded are beta times log-ratios.
    """
    logps, tokens = _responses(model, batch)
    is_pair = tokens[:, 1] > 0
    ratios = logps - batch[BASE_LOGPROBS]
    rewards = settings.beta * (ratios / tokens.clamp(min=1) if settings.length_normalised else ratios)
    margins = rewards[:, 0] - rewards[:, 1]
    taught = -logps[:, 0] / tokens[:, 0].clamp(min=1)
    preferred = settings.chosen_weight * taught - logsigmoid(margins)
    losses = torch.where(is_pair, preferred, settings.demonstration_weight * taught)
    return Loss(
        losses.sum(),
        {
            "reward_accuracy": _mean((margins > 0).float(), is_pair),
            "reward_margin": _mean(margins, is_pair),
            "reward_chosen": _mean(rewards[:, 0], is_pair),
            "demonstration_loss": _mean(taught, ~is_pair),
        },
    )


def _mean(values: Tensor, where: Tensor) -> Mean:
    return Mean(values[where].sum(), where.sum())


def _responses(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities and counts of tokens of chosen and rejected: (examples, 2) each, 0 for none."""
    ids, labels = stacked(batch)
    width = ids.shape[1]
    there = (labels != IGNORED).any(dim=1)
    losses = cross_entropies(model, ids[there], labels[there], "none")
    logps = losses.new_zeros(len(ids))
    logps[there] = -losses.view(-1, width).sum(dim=1)
    tokens = (shifted(labels) != IGNORED).sum(dim=1)
    return logps.view(2, -1).T, tokens.view(2, -1).T


def stacked(batch: Batch) -> tuple[Tensor, Tensor]:
    """Ids and labels of all chosen, then all rejected, in one forward pass: (2 * examples, longest) each."""
    width = max(batch["chosen_ids"].shape[1], batch["rejected_ids"].shape[1])
    ids, labels = (
        torch.cat([_widened(batch[f"{side}_{what}"], width, fill) for side in ("chosen", "rejected")])
        for what, fill in (("ids", 0), ("labels", IGNORED))
    )
    return ids, labels


def _widened(rows: Tensor, width: int, fill: int) -> Tensor:
    return pad(rows, (0, width - rows.shape[1]), value=fill)
