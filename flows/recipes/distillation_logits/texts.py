"""Which texts of an iteration the student learns from."""

from __future__ import annotations

import polars as pl

from flows.round.round import Round
from flows.steps.filter import fits_as_drawn, with_decision_ids
from flows.steps.iteration import tokens_of
from flows.steps.task import step_task
from schemas.recipes.distillation_logits import DistillationLogits
from tasks.filter.chain import run_chain
from tasks.filter.correct import correct
from tasks.filter.decision import Filter
from tasks.filter.finished import finished
from tasks.filter.on_record import on_record
from tasks.models.conversation import prompt_columns


@step_task
def chosen(
    round_: Round[DistillationLogits], prompts: pl.DataFrame, texts: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    """What each filter decided on each text."""
    recipe = round_.recipe

    def compute() -> pl.DataFrame:
        tokens = tokens_of(round_, texts).select("candidate_id", "token_ids")
        frame = (
            texts.join(tokens, on="candidate_id", how="left")
            .join(scores.select("candidate_id", "outcome"), on="candidate_id", how="left")
            .join(prompt_columns(prompts), on="prompt_id")
        )
        filters: list[Filter] = [on_record]
        filters += [correct] if recipe.keep == "verified" else []
        filters += [finished] if recipe.cut_off == "drop" else []
        filters.append(lambda rows: fits_as_drawn(round_, rows, [recipe.training]))
        return with_decision_ids(round_, run_chain(frame, filters)[0], "filter")

    return round_.log.once(round_.unit("filter"), "decisions", compute)
