"""The steps of a round as Prefect tasks, one a shard of work: each asks the log, and does what it lacks.

No result is cached or persisted by Prefect: the log alone says what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

import tutor.prompts
from flows.engines import engine_of
from flows.opening import shards
from flows.progress import Advance
from flows.round import Round
from schemas.errors import RatchetError
from schemas.identity import decision_id
from schemas.job import Hyperparameters
from schemas.recipe import Sampling
from schemas.units import Unit
from tasks.admit import draw, prompt_rows, without
from tasks.checkpoint import context_length, example_lengths, load_tokenizer
from tasks.filter.decision import Filter
from tasks.filter.length import fits
from tasks.generate.candidates import candidate_rows
from warehouse.lake import Where
from warehouse.loops import Checkpoint
from warehouse.query import read
from warehouse.snapshot import freeze

GROUP = 8  # cheap units in one commit

P = ParamSpec("P")
R = TypeVar("R")


def step_task(function: Callable[P, R]) -> Callable[P, R]:
    """A Prefect task named after the function, tried three times unless the fault is ours or the user's.

    Tasks carry no tags: Prefect asks its server for a slot of every tag of every task, half a second each.
    Their flow runs do.
    """

    def worth_another_try(_: Any, __: Any, state: Any) -> bool:
        failure = state.result(raise_on_failure=False)
        return isinstance(failure, Exception) and not isinstance(failure, RatchetError)

    as_task: Callable[[Callable[P, R]], Callable[P, R]] = task(
        name=function.__name__.strip("_").replace("_", "-"),
        retries=2,
        retry_delay_seconds=1,
        retry_condition_fn=worth_another_try,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return as_task(function)


def admit(round_: Round[Any]) -> pl.DataFrame:
    """The round's training prompts: fresh stories, or a draw from the loop's file."""
    source = round_.recipe.prompts
    with round_.step("admit", source.per_round, "prompts") as advance:
        fixed = read(round_.lake, "prompts", {"loop": round_.loop, "round": 0})
        held_out = fixed.filter(pl.col("split") == "eval")
        if source.path is None:
            prompts = _fresh_prompts(round_, held_out)
        else:
            given = (pl.col("split") == "train") & pl.col("parents").is_null()  # none that round 0 invented
            training = fixed.filter(given)
            prompts = draw(training, source.per_round, round_.recipe.seed, round_.number)
        advance(prompts.height)
    return prompts


@step_task
def _fresh_prompts(round_: Round[Any], held_out: pl.DataFrame) -> pl.DataFrame:
    recipe = round_.recipe

    def made() -> pl.DataFrame:
        count = recipe.prompts.per_round or 2000
        told = tutor.prompts.draw(recipe.seed, round_.number, count, recipe.prompts.difficulties, "practice")
        return prompt_rows(without(told, held_out), "train", round_.loop, round_.number)

    return round_.log.once(round_.unit("admit"), "prompts", made)


def generate(round_: Round[Any], prompts: pl.DataFrame, writers: Sequence[Checkpoint]) -> pl.DataFrame:
    """`samples` answers a prompt from each of the writers."""
    recipe = round_.recipe
    parts = shards(prompts["prompt_id"].to_list(), recipe.shard_size)
    total = prompts.height * recipe.sampling.samples * len(writers)
    written = []
    with round_.step("generate", total, "answers") as advance:
        for place, writer in enumerate(writers):
            for number, ids in enumerate(parts):
                shard = prompts.filter(pl.col("prompt_id").is_in(ids))
                unit = round_.unit("generate", place * len(parts) + number)
                seed = recipe.seed + place
                written.append(answers(round_, shard, writer, recipe.sampling, unit, seed, advance))
    return pl.concat(written)


@step_task
def answers(
    round_: Round[Any],
    prompts: pl.DataFrame,
    writer: Checkpoint,
    sampling: Sampling,
    unit: Unit,
    seed: int,
    advance: Advance,
) -> pl.DataFrame:
    """One shard's answers: one unit of table candidates."""
    shown = 0

    def progress(rows: int) -> None:
        nonlocal shown
        shown += rows
        advance(rows)

    def made() -> pl.DataFrame:
        with round_.model_at_work():
            ids = dict(prompts.select("text", "prompt_id").iter_rows())
            engine = engine_of(round_, writer, unit, ids)
            return candidate_rows(
                engine,
                prompts.sort("prompt_id"),
                sampling,
                checkpoint_id=writer.id,
                round_number=unit.round,
                seed=seed,
                progress=progress,
            )

    rows = round_.log.once(unit, "candidates", made)
    advance(rows.height - shown, held=True)
    return rows


def length_filter(round_: Round[Any], hyper: Hyperparameters | None = None) -> Filter:
    """Keeps what fits the model and the longest example of a training: the recipe's, or that of `hyper`."""
    tokenizer = load_tokenizer(round_.base.folder)
    context = context_length(round_.base.folder)
    longest = (hyper or round_.recipe.training).max_tokens
    limit = min(longest, context or longest)
    return lambda frame: fits(frame, partial(example_lengths, tokenizer), limit)


def with_decision_ids(round_: Round[Any], decisions: pl.DataFrame) -> pl.DataFrame:
    """A chain's decisions with the ids that the log knows them by."""
    ids = [
        decision_id(round_.number, round_.loop, position, name, candidate)
        for position, name, candidate in decisions.select("position", "filter", "candidate_id").iter_rows()
    ]
    return decisions.with_columns(pl.Series("decision_id", ids, dtype=pl.String))


def freeze_examples(
    round_: Round[Any], decisions: pl.DataFrame, purpose: str = "sft", units: Iterable[str] = ()
) -> str | None:
    """The snapshot the round trains from: what `selections/<purpose>.sql` draws, frozen by content.

    `units` are those of other facts that it is drawn from, such as preferences. None where the last filter
    kept nothing and there are no such units.
    """
    last = decisions.group_by("candidate_id").agg(pl.col("kept").sort_by("position").last())
    others = set(units)
    if not (last["kept"].any() or others):
        return None
    drawn = sorted({*decisions["unit"], *others})
    with round_.step("freeze", None, "examples") as advance:
        snapshot_id = _frozen(round_, purpose, drawn)
        advance(examples_in(round_, snapshot_id))
    return snapshot_id


def examples_in(round_: Round[Any], snapshot_id: str) -> int:
    """How many examples a snapshot of the round holds."""
    where: Where = {"loop": round_.loop, "round": round_.number, "snapshot_id": snapshot_id}
    return int(read(round_.lake, "snapshots", where)["rows"][0])


@step_task
def _frozen(round_: Round[Any], purpose: str, units: list[str]) -> str:
    parameters = {"loop": round_.loop, "round": round_.number, "units": units}
    unit = round_.unit("freeze" if purpose == "sft" else f"freeze-{purpose}")
    return freeze(round_.log, unit, purpose, units, parameters)
