"""Iterations of a round: what each asks, the tokens it drew, and its optimizer steps, which go on with the
optimizer of the iteration before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.freeze import freeze_examples
from flows.steps.train import train
from schemas.ids import digest
from schemas.job import Hyperparameters
from tasks.filter.chain import survivors
from warehouse.loops import Checkpoint
from warehouse.query import read


def drawn(round_: Round[Any], prompts: pl.DataFrame, iteration: int, count: int) -> pl.DataFrame:
    """An iteration's share (from 1) of the round's prompts, `count` of them: they go round, in another order
    each time.
    """
    seed = round_.recipe.seed
    ids = prompts["prompt_id"].to_list()
    places = range((iteration - 1) * count, iteration * count)
    orders = {
        turn: sorted(ids, key=lambda name: digest(("iteration", seed, turn, name)))
        for turn in {place // len(ids) for place in places}
    }
    chosen = {orders[place // len(ids)][place % len(ids)] for place in places}
    return prompts.filter(pl.col("prompt_id").is_in(chosen))


def tokens_of(round_: Round[Any], answers: pl.DataFrame) -> pl.DataFrame:
    """The tokens of answers, with the sampler's log-probabilities at the temperature it drew by: columns
    candidate_id, token_ids, behaviour_logprobs.
    """
    units = sorted(set(answers["unit"]))
    rows = read(round_.lake, "tokens", {"loop": round_.loop, "round": round_.number, "unit": units})
    behaviour = pl.coalesce("tempered_logprobs", "logprobs").alias("behaviour_logprobs")
    return rows.select("candidate_id", "token_ids", behaviour)


def optimizer_steps(
    phase: Round[Any],
    decisions: pl.DataFrame,
    units: Iterable[str],
    objective: str,
    start: Checkpoint,
    earlier: Checkpoint | None,
    hyper: Hyperparameters,
    carries: bool,
    teacher: Checkpoint | None = None,
) -> list[Checkpoint]:
    """What `start` becomes by training on the answers kept and the facts of `units`; none: none was kept.

    Where the optimizer `carries` over, it is left for the next training, and that of `earlier`, the last one
    that took any step, is gone on with. The `teacher` is asked while it trains.
    """
    kept = survivors(decisions).height
    if not kept:
        return []
    snapshot = freeze_examples(phase, decisions, objective, units)
    assert snapshot is not None
    size = even_batch(kept, hyper.batch_size)
    hyper = hyper.model_copy(update={"keep_optimizer": carries, "batch_size": size})
    return [train(phase, snapshot, objective, start, hyper, earlier if carries else None, teacher)]


def even_batch(examples: int, most: int) -> int:
    """Examples in an optimizer step, `most` or fewer, so that the steps of a pass are as many and about
    equal: a remainder of few would step as far as a whole batch.
    """
    return math.ceil(examples / math.ceil(examples / most))
