"""Policy gradients: a sum of per-token streams, each over its own count, on the tokens that were sampled.

An example is an answer as it was drawn: the sampler's token ids with their log-probabilities at the
temperature it drew by, and an advantage a token, however that was come by (tasks/reward/advantages.py).
Streams: the clipped policy term; by their weights the KL to a reference, the entropy, and the cross-entropy
of answers that passed. What is compared is always the tempered distribution, which was sampled from; cut ones
(top_p, top_k ...) are not what a forward pass computes, and recipes refuse them. Nothing is encoded again:
other tokens may write the same text. All is computed on the answers' tokens alone, so that padding has no
place to leak from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from schemas.errors import TrainingFailed
from schemas.job import Policy
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.train.objectives.objective import BASE_LOGPROBS, IGNORED, Batch, Encoded, Loss, Mean, Objective
from tasks.train.objectives.responses import check_numbers, labelled, taken

REFERENCE_KL, ENTROPY, IMITATION = "reference_kl_loss", "entropy_loss", "imitation_loss"
NUMBERS = ("advantages", "behaviour_logprobs", "reference_logprobs")
PADDING = {"input_ids": 0, "labels": IGNORED} | dict.fromkeys((*NUMBERS, "weights"), 0)


def policy(settings: Policy) -> Objective:
    """The objective under its own settings.

    A KL term needs column `reference_logprobs` too, imitation a column `passed`; else both may be absent or
    null.
    """
    columns = ["prompt", "token_ids", "behaviour_logprobs", "advantages", "temperature"]
    columns += ["reference_logprobs"] if settings.kl_weight else []
    columns += ["passed"] if settings.imitation_weight else []
    return Objective(
        "policy",
        tuple(columns),
        PADDING,
        partial(encode_policy, settings=settings),
        partial(policy_loss, settings=settings),
        base_logprobs=start_logprobs if settings.proximal == "start" else None,
        dropout=False,
    )


def encode_policy(
    tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame, *, settings: Policy
) -> list[Encoded]:
    """Answers after their prompts, with numbers at each token's own place, 0 elsewhere.

    A unit is a token, or an answer where the loss is a mean over answers. TrainingFailed names an example
    whose lists are not as long as its tokens, or hold what is no number.
    """
    prompts = prompt_tokens(tokenizer, prompts_of(examples, "prompt"))
    rows = examples.iter_rows(named=True)
    return [_encoded(prompt, row, settings) for prompt, row in zip(prompts, rows, strict=True)]


def _encoded(prompt: list[int], row: Mapping[str, Any], settings: Policy) -> Encoded:
    tokens: list[int] = row["token_ids"]
    check_numbers(row, NUMBERS)
    name, temperature = row["example_id"], row["temperature"]
    if not (math.isfinite(temperature) and temperature > 0):
        raise TrainingFailed(f"example {name} was drawn at temperature {temperature}, which teaches nothing")
    ids, labels = labelled(prompt, tokens)
    count = int((labels[1:] != IGNORED).sum())  # a first token without anything before it is not predicted
    of_answer = {
        "token": 1.0,
        "sequence": 1.0 / max(count, 1),
        "constant": 1.0 / (settings.constant_length or 1),
    }
    numbers = {name: row.get(name) or [0.0] * len(tokens) for name in NUMBERS}
    numbers["weights"] = [of_answer[settings.normalisation]] * len(tokens)
    facts = {
        "temperature": row["temperature"],
        "referred": row.get("reference_logprobs") is not None,
        "passed": row.get("passed") or False,
    }
    units = count if settings.normalisation == "token" else min(count, 1)
    counts = {REFERENCE_KL: units, ENTROPY: count, IMITATION: count if facts["passed"] else 0}
    return Encoded(
        {"input_ids": ids, "labels": labels}
        | {name: torch.tensor([0.0] * len(prompt) + values) for name, values in numbers.items()}
        | {name: torch.tensor([float(value)]) for name, value in facts.items()},
        len(ids),
        len(ids),
        units,
        {name: counts[name] for name in _weights(settings)},
    )


def _weights(settings: Policy) -> dict[str, float]:
    """The streams beside the policy's own that count for something, with their weights."""
    weights = (settings.kl_weight, -settings.entropy_weight, settings.imitation_weight)
    streams = zip((REFERENCE_KL, ENTROPY, IMITATION), weights, strict=True)
    return {name: weight for name, weight in streams if weight}


def start_logprobs(model: Any, batch: Batch) -> Tensor:
    """The log-probabilities of each answer's tokens by the policy that training starts from, at the
    temperature they were drawn by: (examples, longest), nats, at each token's own place, 0 elsewhere.
    """
    tokens = taken(model, batch["input_ids"], batch["labels"], batch["temperature"][:, 0])
    logprobs = tokens.logprobs.new_zeros(batch["labels"].shape)
    logprobs[tokens.rows, tokens.places] = tokens.logprobs
    return logprobs


def policy_loss(model: Any, batch: Batch, *, settings: Policy) -> Loss:
    """The clipped policy term as the total, the streams that have a weight, and what is worth watching.

    Metrics are means over tokens: `clip_share`, `ratio`, `entropy`, the KL divergences that the answers show
    of the sampler's policy to this one and of this one to the reference, and `importance`, the weights that
    make up for the sampler.
    """
    tokens = taken(model, batch["input_ids"], batch["labels"], batch["temperature"][:, 0])
    logprobs, rows, places = tokens.logprobs, tokens.rows, tokens.places
    advantages, behaviour, reference, weights = (batch[name][rows, places] for name in (*NUMBERS, "weights"))
    referred, passed = batch["referred"][rows, 0], batch["passed"][rows, 0]
    old, correction = behaviour, torch.ones_like(behaviour)
    if settings.proximal == "start":
        old = batch[BASE_LOGPROBS][rows, places]
        correction = (old - behaviour).exp().clamp(max=settings.truncation)
    ratio, drawn = _log_ratio(logprobs - old, rows, settings).exp(), (logprobs - behaviour).exp()
    term = clipped(ratio, advantages, settings) * correction
    streams: dict[str, Callable[[], Tensor]] = {
        REFERENCE_KL: lambda: kl(logprobs - reference, settings.kl_estimator, drawn) * weights,
        ENTROPY: tokens.entropy,
        IMITATION: lambda: -logprobs * passed,
    }
    with torch.no_grad():
        low, high = 1 - settings.clip_low, 1 + settings.clip_high
        held = ((ratio < low) & (advantages < 0)) | ((ratio > high) & (advantages > 0))
        metrics = {
            "clip_share": _mean(held.float()),
            "ratio": _mean(ratio),
            "kl_behaviour": _mean(kl(behaviour - logprobs, "k3")),
            "kl_reference": Mean((kl(logprobs - reference, "k3") * referred).sum(), referred.sum()),
            "entropy": _mean(tokens.entropy()),
            "importance": _mean(correction),
        }
    used = {name: weight * streams[name]().sum() for name, weight in _weights(settings).items()}
    return Loss((term * weights).sum(), metrics, used)


def _log_ratio(log_ratio: Tensor, rows: Tensor, settings: Policy) -> Tensor:
    """Log-ratios a token; of `ratio` sequence, each answer's mean in the place of all of its own."""
    if settings.ratio == "token" or not len(rows):
        return log_ratio
    counts = torch.bincount(rows).clamp(min=1)
    return (log_ratio.new_zeros(len(counts)).index_add(0, rows, log_ratio) / counts)[rows]


def clipped(ratio: Tensor, advantages: Tensor, settings: Policy) -> Tensor:
    """The policy term of each token, to be made small: the worse of ratio and clipped ratio, each times the
    advantage; of a negative advantage never more than `dual_clip` times it.
    """
    inside = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    term = -torch.minimum(ratio * advantages, inside * advantages)
    if settings.dual_clip is None:
        return term
    return torch.where(advantages < 0, torch.minimum(term, -settings.dual_clip * advantages), term)


def kl(log_ratio: Tensor, estimator: str, weights: Tensor | None = None) -> Tensor:
    """An estimate of KL(p || q) a token (nats), from log p(x) - log q(x) of an x drawn from p.

    k1 is right on average and noisy, k3 is right on average and never below 0, k2 has the KL's gradient.
    `weighted` is k3 times `weights`, the differentiable ratios of p to what x was drawn from: it has both.
    """
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio.square() / 2
    k3 = torch.expm1(-log_ratio) + log_ratio
    return k3 if weights is None or estimator == "k3" else k3 * weights


def _mean(values: Tensor) -> Mean:
    return Mean(values.sum(), values.new_tensor(len(values)))
