"""What self-rewarding alone has in a round: the model's own rewards, and the pairs they make.

The auditor, an independent verifier, gives verdicts on answers whose prompt has a reference; neither rewards
nor pairs ever see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from flows.round.round import Round
from flows.steps.filter import finished_filter, length_filter, with_decision_ids
from flows.steps.judge import Judge, judge_candidates
from flows.steps.task import GROUP, shards, step_task
from flows.steps.verify import verify_by_auditor
from flows.writers.guests import guest, with_models_here
from flows.writers.judges import chosen_rubric
from schemas.identity import preference_id
from schemas.recipes.self_rewarding import SelfRewarding
from schemas.tables import PREFERENCES
from schemas.units import Unit
from tasks.filter.best_and_worst import best_and_worst, pairs, rewarded
from tasks.filter.chain import run_chain
from tasks.models.conversation import prompt_columns
from tasks.verify.judge.rubric import Rubric


def reward(round_: Round[SelfRewarding], prompts: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """The judge's verdicts, which filters go by; the auditor's are recorded beside them."""
    verify_by_auditor(round_, prompts.filter(pl.col("reference").is_not_null()), candidates)
    return judge_candidates(round_, judge_of(round_), prompts, candidates, "filter", "reward")


def judge_of(round_: Round[SelfRewarding]) -> Judge:
    """The checkpoint that wrote the answers, or the other model that the recipe names."""
    rewarding = round_.recipe.rewarding
    judge = round_.champion if rewarding.model is None else guest(round_, Path(rewarding.model), "judge")
    here = with_models_here(round_.recipe, round_.lake, round_.loop)
    return Judge(judge, reward_rubric(here, round_.base.folder))


def reward_rubric(recipe: SelfRewarding, base: Path) -> Rubric:
    """The rubric that rewards a loop's answers: the recipe's, else the default one of its judge."""
    rewarding = recipe.rewarding
    judge = base if rewarding.model is None else Path(rewarding.model)
    return chosen_rubric(judge, rewarding.rubric, "points", rewarding.votes)


def choose_pairs(
    round_: Round[SelfRewarding], prompts: pl.DataFrame, candidates: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    """Decide on every answer; returns the pairs that are kept: rows of table `preferences`."""
    verdicts = scores.select("candidate_id", "outcome", points="value")
    frame = candidates.join(verdicts, on="candidate_id").join(prompt_columns(prompts), on="prompt_id")
    parts = shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size * GROUP)
    group = {round_.unit("filter", number): ids for number, ids in enumerate(parts)}
    with round_.step("filter", frame.height, "answers") as advance:
        decisions = _decisions(round_, frame, group)
        preferred = _preferences(round_, decisions, group, scores)
        advance(frame.height)
    return preferred


@step_task
def _decisions(
    round_: Round[SelfRewarding], frame: pl.DataFrame, group: dict[Unit, list[str]]
) -> pl.DataFrame:
    """Which answers have a reward, ended, fit the model, and are the best and the worst of their prompt."""
    rewarding, seed = round_.recipe.rewarding, round_.recipe.seed

    def compute(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        filters = [
            rewarded,
            *finished_filter(round_, group),
            length_filter(round_),
            lambda rows: best_and_worst(rows, rewarding.min_gap, rewarding.length_penalty, seed),
        ]
        groups = [frame.filter(pl.col("prompt_id").is_in(group[unit])) for unit in missing]
        return [with_decision_ids(round_, run_chain(rows, filters)[0], "filter") for rows in groups]

    return round_.log.once_each(list(group), "decisions", compute)


@step_task
def _preferences(
    round_: Round[SelfRewarding],
    decisions: pl.DataFrame,
    group: dict[Unit, list[str]],
    scores: pl.DataFrame,
) -> pl.DataFrame:
    """The pairs that decisions keep, with the judge and the rubric they come from."""
    judge, rubric = (
        scores.select("judge_checkpoint_id", "verifier_version").row(0) if scores.height else (None, None)
    )

    def compute(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        groups = [pairs(decisions.filter(pl.col("prompt_id").is_in(group[unit]))) for unit in missing]
        return [_preference_rows(rows, round_.number, rubric, judge) for rows in groups]

    return round_.log.once_each(list(group), "preferences", compute)


def _preference_rows(
    pairs: pl.DataFrame, round_number: int, rubric: str | None, judge: str | None
) -> pl.DataFrame:
    """Rows of table `preferences`. No pair was shown to the judge as such, so no probability is known."""
    ids = [
        preference_id(round_number, chosen, rejected, rubric, judge)
        for chosen, rejected in pairs.select("chosen_id", "rejected_id").iter_rows()
    ]
    return pairs.with_columns(
        pl.Series("preference_id", ids, dtype=pl.String),
        pl.lit(None, PREFERENCES.own_polars["probability"]).alias("probability"),
        pl.lit(rubric, pl.String).alias("principle"),
        pl.lit(judge, pl.String).alias("judge_checkpoint_id"),
    )
