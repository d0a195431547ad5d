"""The red-team prompts of a round: a draw from those that the loop was opened with."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.opening.red_team import ASKED
from flows.round.round import Round
from schemas.recipes.harm import AgainstHarm
from tasks.admit.prompts import draw_prompts
from warehouse.query import read


def red_team(round_: Round[AgainstHarm], split: str = ASKED) -> pl.DataFrame:
    """The red-team prompts that a round asks: of those to revise, or of another split."""
    recipe = round_.recipe
    with round_.step("red-team", recipe.red_team.per_round, "prompts") as advance:
        rows = prompts_in(round_, split)
        drawn = draw_prompts(rows, recipe.red_team.per_round, recipe.seed, round_.number)
        advance(drawn.height)
    return drawn


def prompts_in(round_: Round[Any], split: str) -> pl.DataFrame:
    """The loop's prompts of one of these splits, in order of id."""
    fixed = read(round_.lake, "prompts", {"loop": round_.loop, "round": 0})
    return fixed.filter(pl.col("split") == split).sort("prompt_id")
