"""The generation step of a round: sampled answers to prompts, a shard of prompts at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.task import shards, step_task
from flows.writers.engines import chat_of, endpoint_of, engine_of, text_settings
from schemas.recipes.asking import Asking
from schemas.recipes.shared import Sampling
from schemas.units import Unit
from tasks.generate.candidates import candidate_rows
from tasks.generate.engine import Sample
from tasks.generate.tokens import Remembering, token_rows
from tasks.models.asking import put
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.rendering import prompt_lengths
from warehouse.loops import Checkpoint


def generate(
    round_: Round[Any], prompts: pl.DataFrame, writers: Sequence[Checkpoint], keep_tokens: bool = False
) -> pl.DataFrame:
    """`samples` answers a prompt from each of the writers; with `keep_tokens` table `tokens` has what they
    were drawn as, in units of the same names. The prompts' tokens are counted where a teacher writes.
    """
    recipe = round_.recipe
    parts = shards(prompts["prompt_id"].to_list(), recipe.shard_size)
    total = prompts.height * recipe.sampling.samples * len(writers)
    frames = []
    with round_.step("generate", total, "answers") as advance:
        for place, writer in enumerate(writers):
            request = Request(recipe.prompts.asking) if writer.role == "teacher" else None
            for number, ids in enumerate(parts):
                shard = prompts.filter(pl.col("prompt_id").is_in(ids))
                unit = round_.unit("generate", place * len(parts) + number)
                seed = round_.seed + place
                settings = (recipe.sampling, unit, seed, advance, keep_tokens, request)
                frames.append(answers(round_, shard, writer, *settings))
    return pl.concat(frames)


@dataclass(frozen=True)
class Request:
    """What is asked for, where it is not an answer to prompts as the recipe puts them.

    `asking` stands around them, `settings` are further values that decide the text, on record with it.
    """

    asking: Asking
    kind: str = "answer"
    settings: Mapping[str, str] = field(default_factory=dict)


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
    request: Request | None = None,
) -> pl.DataFrame:
    """One shard's answers: one unit of table candidates, and of table tokens where they are kept.

    A process that is killed between the two draws the answers again, by the same seeds. With a `request` the
    tokens of each prompt are counted too, by a writer whose tokenizer is known.
    """
    count = 0
    request, counted = request or Request(round_.recipe.prompts.asking), request is not None
    asking, ordered = request.asking, prompts.sort("prompt_id")
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
                kind=request.kind,
                progress=progress,
                asking=asking,
                engine_settings={**text_settings(round_.recipe, writer), **request.settings},
            )
            samples[:] = engine.samples
            return with_prompt_tokens(round_, writer, rows, prompts["prompt_id"], inputs) if counted else rows

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


def with_prompt_tokens(
    round_: Round[Any], writer: Checkpoint, rows: pl.DataFrame, ids: Iterable[str], inputs: Sequence[Prompt]
) -> pl.DataFrame:
    """Rows of table `candidates` with the tokens of what was asked: prompts of these ids, as they are put.

    Rows stay as they are where an endpoint keeps its tokenizer to itself: its requests say what was read.
    """
    if endpoint_of(round_.recipe, writer, "teacher") is not None:
        return rows
    lengths = prompt_lengths(load_tokenizer(writer.folder, chat_of(round_.recipe, writer)), inputs)
    known = dict(zip(ids, lengths, strict=True))
    counts = [known[one] for one in rows["prompt_id"]]
    return rows.with_columns(pl.Series("prompt_tokens", counts, dtype=pl.Int64))
