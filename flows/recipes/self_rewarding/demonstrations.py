"""Which demonstrations of its seed sets a self-rewarding round trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.opening.demonstrations import JUDGING, demonstrations_unit
from flows.recipes.self_rewarding.seeds import SETS
from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.task import step_task
from schemas.recipes.self_rewarding import SelfRewarding
from tasks.filter.chain import run_chain
from tasks.filter.decision import Filter
from tasks.filter.drawn import drawn
from warehouse.query import query

_DEMONSTRATIONS = """
    SELECT c.candidate_id, c.prompt_id, p.text AS prompt, p.messages, c.text,
           p.unit = $judging AS judging
    FROM candidates AS c JOIN prompts AS p USING (loop, round, prompt_id)
    WHERE c.loop = $loop AND c.round = 0 AND c.unit IN (SELECT unnest($units)) AND c.kind = 'demonstration'
    ORDER BY c.candidate_id"""


def all_demonstrations(round_: Round[SelfRewarding]) -> pl.DataFrame:
    """Decisions on every demonstration of both sets: what fits the model is learned from."""
    rows = _demonstrations(round_, SETS)
    return _decided(round_, rows, [length_filter(round_, round_.recipe.seeds.sft_training)], "sft-start")


def judging_demonstrations(round_: Round[SelfRewarding], pairs: int) -> pl.DataFrame:
    """Decisions on the demonstrations of judging: so many for each pair, another draw in every round."""
    recipe = round_.recipe
    count = round(recipe.seeds.keep_judging * pairs)
    demonstrations = _demonstrations(round_, SETS[1:])
    lots = (recipe.seed, round_.number)
    filters = [length_filter(round_), lambda rows: drawn(rows, count, "keep_judging", lots)]
    return _decided(round_, demonstrations, filters, "keep-judging")


@step_task
def _decided(
    round_: Round[SelfRewarding], rows: pl.DataFrame, filters: Sequence[Filter], step: str
) -> pl.DataFrame:
    def compute() -> pl.DataFrame:
        return with_decision_ids(round_, run_chain(rows, filters)[0], step)

    return round_.log.once(round_.unit(step), "decisions", compute)


def _demonstrations(round_: Round[SelfRewarding], names: Sequence[str]) -> pl.DataFrame:
    """A loop's demonstrations: candidate_id, prompt_id, prompt, messages, text, judging, in order of id."""
    units = [demonstrations_unit(round_.loop, name).key for name in names]
    scope: dict[str, Any] = {"loop": round_.loop, "round": 0}
    values = {"loop": round_.loop, "units": units, "judging": demonstrations_unit(round_.loop, JUDGING).key}
    return query(round_.lake, _DEMONSTRATIONS, values, scope=scope)
