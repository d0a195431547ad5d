"""A model's judgement of a round's answers: all it wrote and every verdict are facts that no filter goes by.

The prompts judged are a sample by the same lots as the audit's: judge and truth meet on the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from flows.engines import engine_of, registered, registered_endpoint
from flows.judges import chosen_rubric, judge_folder
from flows.opening import shards
from flows.round import Round, lake_path
from flows.steps import step_task
from schemas.identity import judge_id
from schemas.units import Unit
from tasks.checkpoint import weights_hash
from tasks.verify.judge import judge_rows
from tasks.verify.rubric import Rubric
from tasks.verify.scores import audit_sample
from warehouse.loops import Checkpoint


def judge_answers(round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """Judgements and verdicts on the answers to a sample of prompts, in shards of prompts."""
    wanted = round_.recipe.verification.judge
    sample = audit_sample(prompts, wanted.share, round_.recipe.seed)
    if sample.is_empty():
        return
    folder = None if wanted.endpoint else judge_folder(wanted.model)
    rubric = chosen_rubric(folder, wanted.rubric, "points", wanted.votes)
    asked = candidates.join(sample.select("prompt_id", prompt="text"), on="prompt_id")
    judge = _registered(round_, folder)
    with round_.step("judge", asked.height, "verdicts") as advance:
        for number, ids in enumerate(shards(sample["prompt_id"].to_list(), round_.recipe.shard_size)):
            shard = asked.filter(pl.col("prompt_id").is_in(ids))
            judgements(round_, shard, rubric, judge, round_.unit("judge", number), advance)


@step_task
def judgements(
    round_: Round[Any],
    shard: pl.DataFrame,
    rubric: Rubric,
    judge: Checkpoint,
    unit: Unit,
    advance: Callable[[int], None],
) -> None:
    """One shard's judgements, then its verdicts: the verdicts last, so that they say it is done."""
    if not round_.log.holds(unit, "scores"):
        with round_.model_at_work():
            written, scores = judge_rows(
                engine_of(round_, judge, unit),
                rubric,
                shard,
                judge_checkpoint_id=judge.id,
                round_number=round_.number,
                seed=round_.recipe.seed,
                role="also",
            )
        round_.log.once(unit, "candidates", lambda: written)
        round_.log.once(unit, "scores", lambda: scores)
    advance(shard.height)


def _registered(round_: Round[Any], folder: Path | None) -> Checkpoint:
    """The judge's checkpoint: on record since the loop first asked it."""
    endpoint = round_.recipe.verification.judge.endpoint
    if folder is None:
        return registered_endpoint(round_, endpoint, "judge", judge_id)
    return registered(round_, "judge", weights_hash(folder), lake_path(folder, round_.lake), judge_id)
