"""What every recipe's filters share: whole answers, the length a model takes, and the ids of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import polars as pl

from flows.round.round import Round
from schemas.identity import decision_id
from schemas.job import Hyperparameters
from schemas.units import Unit
from tasks.filter.decision import Filter
from tasks.filter.finished import NAME, finished
from tasks.filter.length import fits
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.rendering import prompt_lengths
from tasks.models.turns import end_inside, example_lengths


def finished_filter(round_: Round[Any], units: Iterable[Unit]) -> list[Filter]:
    """Keeps answers that ended by themselves.

    None where these units of decisions were begun before this filter existed: a round keeps one chain.
    """
    begun = round_.log.rows(list(units), "decisions")
    return [finished] if begun.is_empty() or (begun["filter"] == NAME).any() else []


def length_filter(round_: Round[Any], hyper: Hyperparameters | None = None) -> Filter:
    """Keeps what fits the model and the longest example of a training (the recipe's, or that of `hyper`), and
    holds no token that ends a turn, as the recipe has it now, within it.

    A row whose column `judging` is true is asked as it is, others as the recipe puts them.
    """
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    limit = longest_example(round_, hyper or round_.recipe.training)
    asking = round_.recipe.prompts.asking

    def decide(frame: pl.DataFrame) -> pl.DataFrame:
        judging = frame["judging"] if "judging" in frame.columns else [False] * frame.height

        def lengths(prompts: Sequence[Prompt], texts: Sequence[str]) -> list[int]:
            pairs = zip(prompts, judging, strict=True)
            return example_lengths(tokenizer, [one if own else put(one, asking) for one, own in pairs], texts)

        return fits(frame, lengths, limit, partial(end_inside, tokenizer))

    return decide


def fits_as_drawn(
    round_: Round[Any], answers: pl.DataFrame, trainings: Sequence[Hyperparameters]
) -> pl.DataFrame:
    """Decisions that drop what is too long for any of the trainings, by the tokens that were drawn."""
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    asked = [put(prompt, round_.recipe.prompts.asking) for prompt in prompts_of(answers, "prompt")]
    pairs = zip(prompt_lengths(tokenizer, asked), answers["token_count"], strict=True)
    lengths = [before + own for before, own in pairs]
    limit = min(longest_example(round_, one) for one in trainings)
    return fits(answers, lambda *_: lengths, limit)


def longest_example(round_: Round[Any], hyper: Hyperparameters) -> int:
    """Tokens of the longest example that both the model and a training take."""
    context = context_length(round_.base.folder)
    return min(hyper.max_tokens, context or hyper.max_tokens)


def with_decision_ids(round_: Round[Any], decisions: pl.DataFrame, step: str) -> pl.DataFrame:
    """A chain's decisions with the ids that the log knows them by; the chain has the name of its step."""
    chain = round_.unit(step).name
    ids = [
        decision_id(round_.number, round_.loop, position, name, candidate, chain)
        for position, name, candidate in decisions.select("position", "filter", "candidate_id").iter_rows()
    ]
    return decisions.with_columns(
        pl.Series("decision_id", ids, dtype=pl.String), pl.lit(chain).alias("chain")
    )
