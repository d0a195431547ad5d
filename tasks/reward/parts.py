"""An answer's reward: parts that each stand by themselves, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.recipes.policy_gradients import Rewards

AT_FAULT = ("timeout", "tampered")  # outcomes that are the answer's own doing: worth nothing, and known to be


def verdict_values(scores: pl.DataFrame) -> pl.DataFrame:
    """What each verdict (columns candidate_id, outcome, value, verifier_kind) is worth: candidate_id and
    value.

    A verdict without a value is worth 0 where the answer is to blame, and null where nothing is known of it
    (error, unscorable): an answer is not bad because its verifier broke. Null, too, where a preference model
    gives none, among whose scores 0 is no bad one.
    """
    at_fault = pl.when(pl.col("outcome").is_in(AT_FAULT) & (pl.col("verifier_kind") != "reward")).then(0.0)
    return scores.select("candidate_id", value=pl.coalesce("value", at_fault))


def rewarded(
    answers: pl.DataFrame,
    verdicts: Mapping[str, pl.DataFrame],
    weights: Mapping[str, float],
    rewards: Rewards,
) -> pl.DataFrame:
    """Answers (columns candidate_id, text, finish_reason, token_count, max_tokens) with `reward`, the
    weighted sum, and `rewards`, JSON of each part's value before its weight.

    `verdicts` has each verifier's rows of table `scores`. The reward is null where a verdict that counts is
    not known.
    """
    parts = [(name, weight, _of_verdicts(answers, verdicts[name])) for name, weight in weights.items()]
    for text, weight in rewards.contains.items():
        once = answers["text"].str.count_matches(text, literal=True) == 1
        parts.append((f"contains {text}", weight, once))
    if rewards.unfinished:
        parts.append(("unfinished", -rewards.unfinished, answers["finish_reason"].eq_missing("length")))
    if rewards.overlong:
        over = answers["token_count"] - answers["max_tokens"] + rewards.overlong_tokens
        parts.append(("overlong", -rewards.overlong, (over / rewards.overlong_tokens).clip(0.0, 1.0)))
    told = pl.DataFrame([values.cast(pl.Float64).alias(name) for name, _, values in parts])
    terms = [pl.col(name) * weight for name, weight, _ in parts]
    sums = told.select(
        reward=pl.sum_horizontal(terms, ignore_nulls=False), rewards=pl.struct(pl.all()).struct.json_encode()
    )
    return answers.hstack(sums)


def _of_verdicts(answers: pl.DataFrame, scores: pl.DataFrame) -> pl.Series:
    """What the verdicts on answers are worth, in the answers' order."""
    worth = answers.join(verdict_values(scores), on="candidate_id", how="left", maintain_order="left")
    return worth["value"]
