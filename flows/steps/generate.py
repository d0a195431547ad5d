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
from tasks.generate.engine import Sample
from tasks.generate.tokens import Remembering, token_rows
from tasks.models.asking import put
from tasks.models.conversation import prompts_of
from warehouse.loops import Checkpoint


def generate(
    round_: Round[Any], prompts: pl.DataFrame, writers: Sequence[Checkpoint], keep_tokens: bool = False
) -> pl.DataFrame:
    """`samples` answers a prompt from each of the writers; with `keep_tokens` table `tokens` has what they
    were drawn as, in units of the same names.
    """
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
                frames.append(
                    answers(round_, shard, writer, recipe.sampling, unit, seed, advance, keep_tokens)
                )
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
    keep_tokens: bool = False,
) -> pl.DataFrame:
    """One shard's answers: one unit of table candidates, and of table tokens where they are kept.

    A process that is killed between the two draws the answers again, by the same seeds.
    """
    count = 0
    asking, ordered = round_.recipe.prompts.asking, prompts.sort("prompt_id")
    samples: list[Sample] = []

    def progress(rows: int) -> None:
        nonlocal count
        count += rows
        advance(rows)

    def compute() -> pl.DataFrame:
        with round_.model_at_work():
            inputs = [put(prompt, asking) for prompt in prompts_of(prompts)]
            ids = dict(zip(inputs, prompts["prompt_id"], strict=True))
            engine = Remembering(engine_of(round_, writer, unit, ids))
            rows = candidate_rows(
                engine,
                ordered,
                sampling,
                checkpoint_id=writer.id,
                round_number=unit.round,
                seed=seed,
                progress=progress,
                asking=asking,
                engine_settings=text_settings(round_.recipe, writer),
            )
            samples[:] = engine.samples
            return rows

    def tokens() -> pl.DataFrame:
        if not samples:
            compute()
        by_place = {name: number for number, name in enumerate(ordered["prompt_id"])}
        drawn = rows.sort(pl.col("prompt_id").replace_strict(by_place), "sample_index")
        return token_rows(drawn, samples)

    rows = round_.log.once(unit, "candidates", compute)
    if keep_tokens:
        round_.log.once(unit, "tokens", tokens)
    advance(rows.height - count, held=True)
    return rows
