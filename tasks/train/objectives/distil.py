"""Distillation: a student learns a teacher's distribution at every token (Hinton et al. 2015, arXiv
1503.02531), on the teacher's texts or on its own (Agarwal et al. 2023, arXiv 2306.13649).

An example is a text as it was drawn. The loss of a token is T² times a divergence of the two distributions
at temperature T, and by its weight the token's own cross-entropy at temperature 1. What the teacher says
comes with the example (a few tokens a place, tasks/train/soft_targets.py), or the teacher is asked while the
student trains; over the whole vocabulary it has to be. Of the top k tokens the tail is one more outcome in
both distributions, so that the divergence is never above the whole one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from schemas.errors import TrainingFailed
from schemas.job import Distil
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Loss, Mean, Objective
from tasks.train.objectives.responses import Taken, check_numbers, labelled, taken
from tasks.train.soft_targets import SoftTargets, ask, tail_of

PADDING = {"input_ids": 0, "labels": IGNORED}
CROSS_ENTROPY = "cross_entropy_loss"
IDS, LOGPROBS, TAILS = "teacher_ids", "teacher_logprobs", "tail_logprobs"


@dataclass(frozen=True)
class Targets:
    """What the teacher says of each token that is learned: log-probabilities at T of the same outcomes for
    every token, (tokens, outcomes), and the ids of those that are tokens; None: of the whole vocabulary.

    `tail`, (tokens,), is the log of the mass of all others; None: there is none, or tokens were drawn.
    """

    logprobs: Tensor
    ids: Tensor | None = None
    tail: Tensor | None = None


Says = Callable[[Batch, Taken, Distil], Targets]
"""Who says what the teacher says: a batch and what the student makes of its tokens in."""


def distil(settings: Distil) -> Objective:
    """The objective under its own settings, on soft targets that come with the examples; `with_teacher` is
    the same where the teacher is asked.
    """
    columns = [IDS, LOGPROBS] + ([TAILS] if settings.support == "top-k" else [])
    return Objective(
        "distil",
        ("prompt", "token_ids", *(columns if settings.support != "whole" else ())),
        PADDING,
        partial(encode_distil, settings=settings),
        partial(distil_loss, settings=settings, says=on_record),
        dropout=False,
        with_teacher=partial(_asking, settings),
    )


def _asking(settings: Distil, teacher: Any, seed: int) -> Objective:
    says = partial(of_whole if settings.support == "whole" else of_few, teacher, seed)
    return replace(
        distil(settings),
        columns=("prompt", "token_ids"),
        encode=partial(encode_distil, settings=settings, asks=True),
        loss=partial(distil_loss, settings=settings, says=says),
    )


def encode_distil(
    tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame, *, settings: Distil, asks: bool = False
) -> list[Encoded]:
    """Texts after their prompts, with what the teacher says of each place unless it is asked; a unit is a
    token.

    TrainingFailed names an example whose soft targets are not `k` a token, or are no numbers; and where there
    is no teacher to ask for the whole vocabulary.
    """
    if settings.support == "whole" and not asks:
        raise TrainingFailed(
            "objective distil over the whole vocabulary needs a teacher to ask while it trains"
        )
    prompts = prompt_tokens(tokenizer, prompts_of(examples, "prompt"))
    return [_encoded(prompt, examples[row], settings, asks) for row, prompt in enumerate(prompts)]


def _encoded(prompt: list[int], row: pl.DataFrame, settings: Distil, asks: bool) -> Encoded:
    facts = row.select("example_id", "token_ids").row(0, named=True)
    check_numbers(facts, ())
    ids, labels = labelled(prompt, facts["token_ids"])
    units = int((labels[1:] != IGNORED).sum())  # a first token without anything before it is not predicted
    tensors = {"input_ids": ids, "labels": labels}
    if not asks:
        tensors |= _soft(facts["example_id"], row, units, settings)
    streams = {CROSS_ENTROPY: units} if settings.cross_entropy_weight else {}
    return Encoded(tensors, len(ids), len(ids), units, streams)


def _soft(name: str, row: pl.DataFrame, places: int, settings: Distil) -> dict[str, Tensor]:
    """An example's soft targets, `k` a place in one row, the places those of its labels."""
    tensors = {}
    lists = {IDS: settings.k, LOGPROBS: settings.k} | ({TAILS: 1} if settings.support == "top-k" else {})
    for column, each in lists.items():
        numbers = row[column][0].to_numpy(writable=True)
        if len(numbers) != each * places:
            raise TrainingFailed(
                f"example {name} has {len(numbers)} {column} for {places} tokens, {each} each"
            )
        tensor = torch.from_numpy(numbers)
        kind = torch.int32 if column == IDS else torch.float32
        if not tensor.isfinite().all() or (column == IDS and bool((tensor < 0).any())):
            raise TrainingFailed(f"example {name} has {column} that are no finite numbers")
        tensors[column] = tensor.to(kind)
    return tensors


def on_record(batch: Batch, tokens: Taken, settings: Distil) -> Targets:
    """The soft targets that came with a batch's examples."""
    order = tokens.places - _first_places(batch)[tokens.rows]

    def each(column: str, numbers: int) -> Tensor:
        return batch[column].view(len(batch["labels"]), -1, numbers)[tokens.rows, order]

    tail = each(TAILS, 1)[:, 0] if settings.support == "top-k" else None
    return Targets(each(LOGPROBS, settings.k), each(IDS, settings.k), tail)


def _first_places(batch: Batch) -> Tensor:
    """Where the first token that is learned stands, of each text: (texts,)."""
    return (batch["labels"][:, 1:] != IGNORED).int().argmax(dim=1) + 1


def of_whole(teacher: Any, seed: int, batch: Batch, tokens: Taken, settings: Distil) -> Targets:
    """The teacher's whole distribution at each token that is learned."""
    with torch.no_grad():
        theirs = taken(teacher, batch["input_ids"], batch["labels"], _warmth(batch, settings))
    if theirs.whole.shape != tokens.whole.shape:
        sizes = (theirs.whole.shape[1], tokens.whole.shape[1])
        raise TrainingFailed(
            f"the teacher gives {sizes[0]} logits, the student {sizes[1]}: they do not compare"
        )
    return Targets(theirs.whole)


def of_few(teacher: Any, seed: int, batch: Batch, tokens: Taken, settings: Distil) -> Targets:
    """The teacher's soft targets, asked for one text after the other, as those on record were."""
    said: list[SoftTargets] = []
    firsts = _first_places(batch).tolist()
    for row, count in enumerate(torch.bincount(tokens.rows, minlength=len(firsts)).tolist()):
        text = batch["input_ids"][row, : firsts[row] + count].tolist()
        said += [ask(teacher, text, firsts[row], settings, seed)] if count else []
    tails = [one.tail for one in said if one.tail is not None]
    logprobs, ids = torch.cat([one.logprobs for one in said]), torch.cat([one.ids for one in said])
    return Targets(logprobs, ids, torch.cat(tails) if tails else None)


def distil_loss(model: Any, batch: Batch, *, settings: Distil, says: Says) -> Loss:
    """T² times the divergence of student and teacher as the total; where it has a weight, cross-entropy is a
    stream of its own.

    Metrics are means over tokens: the divergence (nats, without T²), the student's entropy at T, and where
    they are known how often the teacher's likeliest token is the student's, and its mass beyond the top k.
    """
    tokens = taken(model, batch["input_ids"], batch["labels"], _warmth(batch, settings))
    targets = says(batch, tokens, settings)
    apart = _apart(targets, tokens.whole, settings)
    count = apart.new_tensor(len(apart))
    metrics = {"divergence": Mean(apart.sum(), count), "entropy": Mean(tokens.entropy().sum(), count)}
    if settings.support != "sampled":
        best = targets.logprobs.argmax(dim=1) if targets.ids is None else targets.ids[:, 0]
        metrics["agreement"] = Mean((tokens.whole.argmax(dim=1) == best).float().sum(), count)
    if targets.tail is not None:
        metrics["teacher_tail"] = Mean(targets.tail.exp().sum(), count)
    streams = {}
    if settings.cross_entropy_weight:
        cold = (settings.temperature * tokens.whole).log_softmax(dim=-1)  # of the same logits, at 1
        own = batch["labels"][tokens.rows, tokens.places]
        streams[CROSS_ENTROPY] = -settings.cross_entropy_weight * cold.gather(1, own[:, None]).sum()
    return Loss(settings.temperature**2 * apart.sum(), metrics, streams)


def _warmth(batch: Batch, settings: Distil) -> Tensor:
    """T of each text of a batch."""
    return torch.full((len(batch["labels"]),), settings.temperature, device=batch["labels"].device)


def _apart(targets: Targets, student: Tensor, settings: Distil) -> Tensor:
    """The divergence at each token, (tokens,), over the outcomes that the teacher told of."""
    if targets.ids is None:
        return divergence(targets.logprobs, student, settings)
    same = student.gather(1, targets.ids)
    if targets.tail is None:  # drawn from the teacher: a mean over draws of the log-ratio
        return (targets.logprobs - same).mean(dim=1)
    theirs = torch.cat([targets.logprobs, targets.tail[:, None]], dim=1)
    return divergence(theirs, torch.cat([same, tail_of(student, targets.ids)[:, None]], dim=1), settings)


def divergence(teacher: Tensor, student: Tensor, settings: Distil) -> Tensor:
    """How far two distributions are apart, nats: log-probabilities (tokens, outcomes) in, (tokens,) out.

    The generalised Jensen-Shannon divergence is beta KL(teacher || M) + (1 - beta) KL(student || M), of
    M = beta teacher + (1 - beta) student.
    """
    if settings.divergence == "forward":
        return _kl(teacher, student)
    if settings.divergence == "reverse":
        return _kl(student, teacher)
    beta = settings.beta
    both = torch.stack([teacher + math.log(beta), student + math.log1p(-beta)])
    mixture = both.logsumexp(dim=0)
    return beta * _kl(teacher, mixture) + (1 - beta) * _kl(student, mixture)


def _kl(left: Tensor, right: Tensor) -> Tensor:
    return (left.exp() * (left - right)).sum(dim=-1)
