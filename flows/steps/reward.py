"""Who rewards an iteration's answers: verifiers, and a preference model where one counts."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.round.round import Round
from flows.steps.prefer import score_answers
from flows.steps.task import shards
from flows.steps.verify import verify_by_all
from flows.writers.guests import guest
from schemas.errors import BadInput
from schemas.recipes.policy_gradients import PREFERENCES, PolicyGradients
from tasks.models.asking import as_asked
from tasks.models.conversation import prompt_columns
from warehouse.loops import Checkpoint, champion_of


def preference_model(round_: Round[PolicyGradients]) -> Checkpoint | None:
    """The preference model that rewards, where one counts: the recipe's, else the loop's own last one that
    was promoted. BadInput where there is none.
    """
    if PREFERENCES not in round_.recipe.reward_weights:
        return None
    if (named := round_.recipe.rewards.model) is not None:
        return guest(round_, Path(named), "reward")
    own = champion_of(round_.lake, round_.loop, "reward", before=round_.number)
    if own is None:
        raise BadInput(
            f"loop {round_.loop} has no preference model of its own: name one's folder by rewards.model"
        )
    return own


def verdicts(
    phase: Round[PolicyGradients], prompts: pl.DataFrame, answers: pl.DataFrame, model: Checkpoint | None
) -> dict[str, pl.DataFrame]:
    """The verdicts on every answer of each verifier that may reward: rows of table `scores`, by its name."""
    given = verify_by_all(phase, prompts, answers)
    if model is not None:
        given[PREFERENCES] = _preferences(phase, prompts, answers, model)
    return given


def _preferences(
    phase: Round[PolicyGradients], prompts: pl.DataFrame, answers: pl.DataFrame, model: Checkpoint
) -> pl.DataFrame:
    """A preference model's scores of answers, with their prompts as the policy was asked them."""
    shown = as_asked(prompt_columns(prompts), phase.recipe.prompts.asking)
    frame = answers.select("candidate_id", "prompt_id", "text").join(shown, on="prompt_id")
    scores = []
    with phase.step("prefer", answers.height, "scores") as advance:
        for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), phase.recipe.shard_size)):
            shard = frame.filter(pl.col("prompt_id").is_in(ids)).sort("candidate_id")
            scores.append(score_answers(phase, shard, model, phase.unit("prefer", number), advance))
    return pl.concat(scores)
