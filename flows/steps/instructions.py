"""A round's prompts with new ones among them, which a model invents from them."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.invent import invent
from flows.writers.purse import Purse
from tasks.admit.prompts import draw_prompts
from warehouse.loops import Checkpoint


def with_invented(
    round_: Round[Any], prompts: pl.DataFrame, writer: Checkpoint | None = None, purse: Purse | None = None
) -> pl.DataFrame:
    """The round's prompts with those that a model invents from them (`invention`): a share of them takes
    others' places, or `invention.count` come beside them. `writer` invents where the recipe names no model.
    """
    invention = round_.recipe.invention
    count = invention.count or round(invention.share * prompts.height)
    if not count:
        return prompts
    invented = invent(round_, count, invention, writer, purse)
    if not invention.count:
        left = prompts.height - invented.height
        prompts = draw_prompts(prompts, left, round_.recipe.seed, round_.number)
    return pl.concat([prompts, invented.select(prompts.columns).cast(prompts.schema)])
