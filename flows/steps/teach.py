"""The teaching step of an iteration: what the teacher says of each place of the texts that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.iteration import tokens_of
from flows.steps.task import shards, step_task
from schemas.job import Distil
from schemas.tables import SOFT_TARGETS
from schemas.units import Unit
from tasks.filter.chain import survivors
from tasks.models.asking import put
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.train.soft_targets import soft_target_rows
from warehouse.loops import Checkpoint

Texts = Sequence[tuple[str, Sequence[int], Sequence[int]]]
"""Candidates, each with the tokens of its prompt and its own."""


def soft_targets(
    round_: Round[Any],
    prompts: pl.DataFrame,
    texts: pl.DataFrame,
    decisions: pl.DataFrame,
    teacher: Checkpoint,
    settings: Distil,
) -> list[str]:
    """Have the teacher say what it would write at each place of the texts that the last filter kept: rows of
    table `soft_targets`, a shard of prompts at a time. Returns their units.
    """
    kept = texts.join(survivors(decisions), on="candidate_id", how="semi")
    kept = kept.join(tokens_of(round_, kept), on="candidate_id").sort("candidate_id")
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    asked = [put(prompt, round_.recipe.prompts.asking) for prompt in prompts_of(prompts)]
    before = dict(zip(prompts["prompt_id"], prompt_tokens(tokenizer, asked), strict=True))
    units = []
    with round_.step("teach", kept.height, "texts") as advance:
        for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)):
            own = kept.filter(pl.col("prompt_id").is_in(ids))
            rows = own.select("candidate_id", "prompt_id", "token_ids").iter_rows()
            shard = [(name, before[prompt], tokens) for name, prompt, tokens in rows]
            unit = round_.unit("soft-targets", number)
            _told(round_, shard, teacher, settings, unit, advance)
            units.append(unit.key)
    return units


@step_task
def _told(
    round_: Round[Any], texts: Texts, teacher: Checkpoint, settings: Distil, unit: Unit, advance: Advance
) -> None:
    """One shard's soft targets, unless the log holds them."""
    if round_.log.holds(unit, "soft_targets"):
        advance(len(texts), held=True)
        return

    def compute() -> pl.DataFrame:
        frames = [SOFT_TARGETS.frame([])]
        with round_.model_at_work():
            for frame in soft_target_rows(teacher.folder, teacher.id, texts, settings, round_.seed):
                frames.append(frame)
                advance(frame.height)
        return pl.concat(frames)

    round_.log.once(unit, "soft_targets", compute)
