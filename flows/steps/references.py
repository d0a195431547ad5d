"""Which of a loop's worked reference solutions a round trains on too."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.task import step_task
from tasks.filter.chain import run_chain
from tasks.filter.decision import Filter
from tasks.filter.pool import reference_share, references


@step_task
def reference_decisions(round_: Round[Any], share: float) -> pl.DataFrame:
    """Decisions on the reference solutions: a share of them, of what fits the model."""

    def compute() -> pl.DataFrame:
        rows = references(round_.lake, round_.loop, round_.recipe.verification.verifier)
        seed = round_.recipe.seed
        filters: list[Filter] = [lambda frame: reference_share(frame, share, seed), length_filter(round_)]
        return with_decision_ids(round_, run_chain(rows, filters)[0], "filter-references")

    return round_.log.once(round_.unit("filter-references"), "decisions", compute)
