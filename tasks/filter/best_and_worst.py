"""Keeps a prompt's best and worst answer by their judge: the pair that preference training learns from.

The rule of self-rewarding (Yuan et al. 2024, arXiv 2401.10020): chosen is the answer with the most points,
rejected the one with the fewest, and prompts whose answers all have the same points give no pair. A prompt
whose best and worst are too near each other gives none either: such a gap is the votes' own noise.
"""

from __future__ import annotations

import polars as pl

from schemas.ids import digest
from tasks.filter.decision import decide

NAME = "best_and_worst"


def rewarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) that keep what has a reward; the value is the judge's points.

    Needs the columns `outcome` and `points` (null without a verdict). An answer without a verdict is dropped
    with its outcome as the reason: it has no reward of zero.
    """
    no_verdict = pl.when(pl.col("outcome").is_null()).then(pl.lit("no score")).otherwise(pl.col("outcome"))
    return decide(
        frame, "rewarded", pl.when(pl.col("points").is_null()).then(no_verdict), value=pl.col("points")
    )


def reward(length_penalty: float) -> pl.Expr:
    """Points less `length_penalty` for an answer twice as long as the mean of its prompt's answers.

    Needs the columns `points`, `token_count` and `prompt_id`. An answer shorter than the mean gains as
    much as one longer by the same share loses; with 0 the reward is the judge's points.
    """
    if length_penalty == 0:
        return pl.col("points")
    tokens = pl.col("token_count").cast(pl.Float64)
    return pl.col("points") - length_penalty * (tokens / tokens.mean().over("prompt_id") - 1.0)


def best_and_worst(
    frame: pl.DataFrame, min_gap: float, length_penalty: float = 0.0, seed: int = 0
) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA): the value is the reward, the rank 0 for the best of its prompt.

    Kept are the first and the last of each prompt whose rewards are at least `min_gap` apart. Among equals a
    seeded hash of the id decides.
    """
    lots = pl.Series([digest((seed, candidate)) for candidate in frame["candidate_id"]], dtype=pl.String)
    order = pl.struct(-pl.col("reward"), "lot").rank("ordinal").over("prompt_id") - 1
    ranked = (
        frame.with_columns(reward=reward(length_penalty), lot=lots)
        .with_columns(rank=order.cast(pl.Int64), answers=pl.len().over("prompt_id"))
        .with_columns(gap=(pl.col("reward").max() - pl.col("reward").min()).over("prompt_id").round(9))
    )
    inside = (pl.col("rank") > 0) & (pl.col("rank") < pl.col("answers").cast(pl.Int64) - 1)
    reason = (
        pl.when(pl.col("answers") < 2)
        .then(pl.lit("alone"))
        .when(pl.col("gap") <= 0)
        .then(pl.lit("tie"))
        .when(pl.col("gap") < min_gap)
        .then(pl.lit("near tie"))
        .when(inside)
        .then(pl.lit("neither best nor worst"))
    )
    return decide(ranked, NAME, reason, value=pl.col("reward"), rank=pl.col("rank"))


def pairs(decisions: pl.DataFrame) -> pl.DataFrame:
    """One row a pair, from the decisions of `best_and_worst`: prompt_id, chosen_id, rejected_id and both
    rewards (chosen_value, rejected_value), in order of prompt.
    """
    ends = decisions.filter((pl.col("filter") == NAME) & pl.col("kept")).sort("prompt_id", "rank")
    return ends.group_by("prompt_id", maintain_order=True).agg(
        chosen_id=pl.col("candidate_id").first(),
        rejected_id=pl.col("candidate_id").last(),
        chosen_value=pl.col("value").first(),
        rejected_value=pl.col("value").last(),
    )
