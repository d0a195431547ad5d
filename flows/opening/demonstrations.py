"""Sets of demonstrations that a loop opens with: their prompts and what is demonstrated, admitted in round 0.

Their prompts have a split of their own, `seed`: no round asks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import polars as pl

from schemas.units import Unit
from tasks.admit.prompts import demonstration_rows, prompt_rows
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read

JUDGING = "evaluation"
"""The set of demonstrations of judging."""


def admit_demonstrations(log: Log, loop: str, sets: Mapping[str, pl.DataFrame]) -> None:
    """Record seed sets in round 0, once: their prompts and what is demonstrated."""
    for name, demonstrations in sets.items():
        prompts = demonstration_prompts(demonstrations, loop)
        responses = demonstration_rows(demonstrations, prompts, loop)
        unit = demonstrations_unit(loop, name)
        log.once(unit, "prompts", partial(_same, prompts))
        log.once(unit, "candidates", partial(_same, responses))


def demonstration_prompts(demonstrations: pl.DataFrame, loop: str) -> pl.DataFrame:
    """A set's rows of table `prompts`."""
    return prompt_rows(demonstrations.drop("response"), "seed", loop, 0)


def demonstrations_unit(loop: str, name: str) -> Unit:
    """The unit that holds a set's prompts and demonstrations."""
    return Unit(loop, 0, f"seeds-{name}")


def judging_prompts(lake: Lake, loop: str) -> list[str]:
    """The ids of a loop's seed prompts that ask for a judgement, in the judge's own words."""
    seeds = read(lake, "prompts", {"loop": loop, "round": 0}).filter(pl.col("split") == "seed")
    return seeds.filter(pl.col("unit") == demonstrations_unit(loop, JUDGING).key)["prompt_id"].to_list()


def _same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows
