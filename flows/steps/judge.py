"""A model's judgement of a round's answers: all it wrote and every verdict are facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.task import shards, step_task
from flows.writers.engines import engine_of, registered_endpoint
from flows.writers.guests import guest, with_models_here
from flows.writers.judges import chosen_rubric, judge_folder
from schemas.errors import RecipeError
from schemas.units import Unit
from tasks.models.conversation import prompt_columns
from tasks.verify.judge.judge import NAME, judgement_rows, verdict_rows
from tasks.verify.judge.rubric import Rubric
from tasks.verify.scores import Role, sample_of_prompts
from warehouse.loops import Checkpoint
from warehouse.query import read


@dataclass(frozen=True)
class Judge:
    """Who judges, as a checkpoint of the loop, and the rubric it goes by."""

    checkpoint: Checkpoint
    rubric: Rubric


def judge_sample(round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """Record a judge's verdicts on the answers to a sample of prompts; no filter goes by them.

    The sample is drawn by the same lots as the auditor's, so that both judge the same answers.
    """
    settings = with_models_here(round_.recipe.verification.judge, round_.lake, round_.loop)
    sample = sample_of_prompts(prompts, settings.share, round_.recipe.seed)
    if sample.is_empty():
        return
    folder = None if settings.endpoint else judge_folder(settings.model)
    rubric = chosen_rubric(folder, settings.rubric, "points", settings.votes)
    judge = Judge(_judge(round_), rubric)
    judge_candidates(round_, judge, sample, candidates, "also", "judge")


def judge_candidates(
    round_: Round[Any], judge: Judge, prompts: pl.DataFrame, candidates: pl.DataFrame, role: Role, step: str
) -> pl.DataFrame:
    """A judge's verdicts on the answers to prompts, in shards of prompts: rows of table `scores`."""
    _refuse_other_rubric(round_, judge, role)
    answers = candidates.join(prompt_columns(prompts), on="prompt_id")
    scores = []
    with round_.step(step, answers.height, "verdicts") as advance:
        for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)):
            shard = answers.filter(pl.col("prompt_id").is_in(ids))
            scores.append(judgements(round_, shard, judge, role, round_.unit(step, number), advance))
    return pl.concat(scores)


@step_task
def judgements(
    round_: Round[Any],
    shard: pl.DataFrame,
    judge: Judge,
    role: Role,
    unit: Unit,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """One shard's judgements, then the verdicts read from them: rows of table `scores`.

    The judgements are appended first. A process that is killed before the verdicts are appended reads the
    judgements back and does not ask the judge again. A unit with verdicts is done.
    """

    def compute() -> pl.DataFrame:
        how: dict[str, Any] = {
            "judge_checkpoint_id": judge.checkpoint.id,
            "round_number": round_.number,
            "seed": round_.seed,
        }
        with round_.model_at_work():
            engine = engine_of(round_, judge.checkpoint, unit, role="judge")
            rows = round_.log.once(
                unit, "candidates", lambda: judgement_rows(engine, judge.rubric, shard, **how)
            )
            return verdict_rows(engine, judge.rubric, shard, rows, **how, role=role)

    scores = round_.log.once(unit, "scores", compute)
    advance(shard.height)
    return scores


def _refuse_other_rubric(round_: Round[Any], judge: Judge, role: Role) -> None:
    """RecipeError where this round has verdicts by another rubric: its file may have changed since."""
    scores = read(round_.lake, "scores", {"loop": round_.loop, "round": round_.number})
    scores = scores.filter((pl.col("verifier") == NAME) & (pl.col("role") == role))
    other = set(scores["verifier_version"]) - {judge.rubric.label}
    if other:
        raise RecipeError(
            f"round {round_.number} was judged by rubric {', '.join(sorted(other))} so far, "
            f"not {judge.rubric.label}: a round keeps its rubric"
        )


def _judge(round_: Round[Any]) -> Checkpoint:
    """The judge of the recipe's verification: a folder's model, or the one behind its endpoint."""
    judging = round_.recipe.verification.judge
    if judging.endpoint is not None:
        return registered_endpoint(round_, judging.endpoint, "judge")
    return guest(round_, judge_folder(judging.model), "judge")
