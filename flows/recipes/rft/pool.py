"""What rejection sampling alone has in a round: who writes the answers, and which of them are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import polars as pl

from flows.round.round import Round
from flows.steps.filter import finished_filter, length_filter, with_decision_ids
from flows.steps.references import reference_decisions
from flows.steps.task import GROUP, shards, step_task
from flows.writers.engines import teacher
from schemas.recipes.rft import Rft
from schemas.units import Unit
from tasks.filter.cap import cap
from tasks.filter.chain import run_chain
from tasks.filter.correct import correct
from tasks.filter.decision import Filter
from tasks.filter.distinct import distinct
from tasks.filter.drawn import drawn
from tasks.filter.equations_hold import equations_hold
from tasks.filter.finished import finished
from tasks.filter.pool import (
    COLUMNS,
    kept_before,
    newest,
    within_budget,
)
from tasks.models.conversation import prompt_columns
from warehouse.loops import Checkpoint, find_checkpoint, past_champions, taught_before


def writers(round_: Round[Rft]) -> list[Checkpoint]:
    """The champion and, where the recipe pools, the checkpoints it succeeded, newest first; or a teacher."""
    if (elsewhere := teacher(round_)) is not None:
        return [elsewhere]
    checkpoints = [round_.champion]
    for past in past_champions(round_.lake, round_.loop):
        if len(checkpoints) < round_.recipe.pool_checkpoints and past not in {one.id for one in checkpoints}:
            checkpoints.append(find_checkpoint(round_.lake, round_.loop, past))
    return checkpoints


def filter_pool(
    round_: Round[Rft], prompts: pl.DataFrame, candidates: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    """Decisions on the round's answers, on those earlier rounds kept, and on the references."""
    recipe = round_.recipe
    verdicts = scores.select("candidate_id", "outcome", "steps", "path")
    own = (
        candidates.join(verdicts, on="candidate_id")
        .join(prompt_columns(prompts), on="prompt_id")
        .select(COLUMNS)
    )
    if recipe.unfiltered:
        return _unfiltered_decisions(round_, own)
    earlier = _earlier(round_)
    pool = pl.concat([own, earlier.select(COLUMNS).cast(own.schema)])
    with round_.step("filter", pool.height, "answers") as advance:
        decisions = [_decisions(round_, pool, newest(earlier, recipe.seed))]
        if recipe.reference_share > 0:
            decisions.append(reference_decisions(round_, recipe.reference_share))
        advance(pool.height)
    return pl.concat(decisions)


def _earlier(round_: Round[Rft]) -> pl.DataFrame:
    """The answers of earlier rounds that this one may train on again."""
    recipe, lake, loop = round_.recipe, round_.lake, round_.loop
    first = 0 if recipe.pool_rounds is None else max(0, round_.number - recipe.pool_rounds)
    if recipe.pool_untaught:
        first = max(first, taught_before(lake, loop, round_.champion.id))
    return kept_before(lake, loop, range(first, round_.number), recipe.verification.verifier)


def chain(
    round_: Round[Rft], units: Iterable[Unit], places: Mapping[str, int] = MappingProxyType({})
) -> list[Filter]:
    """The recipe's filters, in order (Yuan et al. 2023), of the answers that the units decide on.

    `places` are those of earlier rounds' answers in the budget.
    """
    recipe = round_.recipe
    whole = finished_filter(round_, units)
    filters: list[Filter] = [correct, *whole, equations_hold, length_filter(round_), distinct]
    if recipe.pool_budget is not None:
        budget = recipe.pool_budget
        filters.insert(0, lambda frame: within_budget(frame, places, budget))
    if recipe.cap is not None:
        most = recipe.cap
        filters.append(lambda frame: cap(frame, most, recipe.seed))
    return filters


@step_task
def _decisions(round_: Round[Rft], pool: pl.DataFrame, places: Mapping[str, int]) -> pl.DataFrame:
    """Every filter's decisions on the pool, in units that hold all answers to their prompts."""
    parts = shards(pool["prompt_id"].unique().to_list(), round_.recipe.shard_size * GROUP)
    group = {round_.unit("filter", number): ids for number, ids in enumerate(parts)}

    def compute(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        filters = chain(round_, group, places)
        pools = [pool.filter(pl.col("prompt_id").is_in(group[unit])) for unit in missing]
        return [with_decision_ids(round_, run_chain(part, filters)[0], "filter") for part in pools]

    return round_.log.once_each(list(group), "decisions", compute)


@step_task
def _unfiltered_decisions(round_: Round[Rft], own: pl.DataFrame) -> pl.DataFrame:
    """The control's: so many of the round's answers by lot, whatever the verifier says."""

    def compute() -> pl.DataFrame:
        counts, seed = round_.recipe.unfiltered, round_.recipe.seed
        count = counts[min(round_.number, len(counts) - 1)]
        filters: list[Filter] = [
            finished,
            length_filter(round_),
            lambda frame: drawn(frame, count, "drawn", (seed, round_.number)),
        ]
        return with_decision_ids(round_, run_chain(own, filters)[0], "filter")

    return round_.log.once(round_.unit("filter"), "decisions", compute)
