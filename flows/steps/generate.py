"""The generation step of a round: sampled answers to prompts, a shard of prompts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.task import shards, step_task
from flows.writers.engines import engine_of, text_settings
from schemas.recipes.shared import Sampling
from schemas.units import Unit
from tasks.generate.candidates import candidate_rows
from tasks.models.asking import put
from tasks.models.conversation import prompts_of
from warehouse.loops import Checkpoint


def generate(round_: Round[Any], prompts: pl.DataFrame, writers: Sequence[Checkpoint]) -> pl.DataFrame:
    """`samples` answers a prompt from each of the writers."""
    recipe = round_.recipe
    parts = shards(prompts["prompt_id"].to_list(), recipe.shard_size)
    total = prompts.height * recipe.sampling.samples * len(writers)
    frames = []
    with round_.step("generate", total, "answers") as advance:
        for place, writer in enumerate(writers):
            for number, ids in enumerate(parts):
                shard = prompts.filter(pl.col("prompt_id").is_in(ids))
                unit = round_.unit("generate", place * len(parts) + number)
                seed = round_.seed + place
                frames.append(answers(round_, shard, writer, recipe.sampling, unit, seed, advance))
    return pl.concat(frames)


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
    count = 0

    def progress(rows: int) -> None:
        nonlocal count
        count += rows
        advance(rows)

    def compute() -> pl.DataFrame:
        with round_.model_at_work():
            asking = round_.recipe.prompts.asking
            inputs = [put(prompt, asking) for prompt in prompts_of(prompts)]
            ids = dict(zip(inputs, prompts["prompt_id"], strict=True))
            engine = engine_of(round_, writer, unit, ids)
            return candidate_rows(
                engine,
                prompts.sort("prompt_id"),
                sampling,
                checkpoint_id=writer.id,
                round_number=unit.round,
                seed=seed,
                progress=progress,
                asking=asking,
                engine_settings=text_settings(round_.recipe, writer),
            )

    rows = round_.log.once(unit, "candidates", compute)
    advance(rows.height - count, held=True)
    return rows
