"""The admission step of a round: fresh stories, or a draw from the loop's file."""

from __future__ import annotations

from typing import Any

import polars as pl

import tutor.prompts
from flows.round.round import Round
from flows.steps.task import step_task
from tasks.admit.prompts import draw_prompts, prompt_rows, without
from warehouse.query import read


def admit(round_: Round[Any]) -> pl.DataFrame:
    """The round's training prompts: fresh stories, or a draw from the loop's file."""
    source = round_.recipe.prompts
    with round_.step("admit", source.per_round, "prompts") as advance:
        fixed = read(round_.lake, "prompts", {"loop": round_.loop, "round": 0})
        held_out = fixed.filter(pl.col("split") == "eval")
        if source.path is None:
            prompts = _fresh_prompts(round_, held_out)
        else:
            own = (pl.col("split") == "train") & pl.col("parents").is_null()  # none that round 0 invented
            training = fixed.filter(own)
            prompts = draw_prompts(training, source.per_round, round_.recipe.seed, round_.number)
        advance(prompts.height)
    return prompts


@step_task
def _fresh_prompts(round_: Round[Any], held_out: pl.DataFrame) -> pl.DataFrame:
    recipe = round_.recipe

    def compute() -> pl.DataFrame:
        count = recipe.prompts.per_round or 2000
        stories = tutor.prompts.draw_stories(
            recipe.seed, round_.number, count, recipe.prompts.difficulties, recipe.prompts.family
        )
        return prompt_rows(without(stories, held_out), "train", round_.loop, round_.number)

    return round_.log.once(round_.whole.unit("admit"), "prompts", compute)
