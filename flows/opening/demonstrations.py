"""Sets of demonstrations that a loop opens with: their prompts and what is demonstrated, admitted in round 0.

Their prompts have a split of their own, `seed`: no round asks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import polars as pl

from schemas.units import Unit
from tasks.admit.prompts import demonstration_rows, prompt_rows
from warehouse.log import Log


def admit_demonstrations(log: Log, loop: str, sets: Mapping[str, pl.DataFrame]) -> None:
    """Record seed sets in round 0, once: their prompts and what is demonstrated."""
    for name, demonstrated in sets.items():
        prompts = demonstrated_prompts(demonstrated, loop)
        responses = demonstration_rows(demonstrated, prompts, loop)
        unit = demonstrations_unit(loop, name)
        log.once(unit, "prompts", partial(_same, prompts))
        log.once(unit, "candidates", partial(_same, responses))


def demonstrated_prompts(demonstrated: pl.DataFrame, loop: str) -> pl.DataFrame:
    """A set's rows of table `prompts`."""
    return prompt_rows(demonstrated.drop("response"), "seed", loop, 0)


def demonstrations_unit(loop: str, name: str) -> Unit:
    """The unit that holds a set's prompts and demonstrations."""
    return Unit(loop, 0, f"seeds-{name}")


def _same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows
