"""A preference model's scores of answers, as facts of a round."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.task import step_task
from schemas.units import Unit
from tasks.verify.reward import reward_rows, version_of
from warehouse.loops import Checkpoint


@step_task
def score_answers(
    round_: Round[Any], answers: pl.DataFrame, model: Checkpoint, unit: Unit, advance: Advance
) -> pl.DataFrame:
    """One shard's scores by a preference model: one unit of table scores.

    `answers` has candidate_id, prompt_id, text, and prompt and messages as the policy is asked them.
    """

    def compute() -> pl.DataFrame:
        with round_.model_at_work():
            return reward_rows(
                model.folder,
                answers,
                checkpoint_id=model.id,
                version=version_of(model.content_hash),
                round_number=unit.round,
                chat=round_.recipe.prompts.chat,
            )

    rows = round_.log.once(unit, "scores", compute)
    advance(rows.height)
    return rows
