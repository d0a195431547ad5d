"""Evaluation in a round: a checkpoint's answers to the held-out prompts, judged and measured once."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.generate import answers
from flows.steps.task import shards
from flows.steps.verify import verdicts
from flows.writers.engines import text_settings
from schemas.recipes.shared import Recipe, Sampling
from schemas.units import Unit
from tasks.evaluate.measure import (
    evaluation_rows,
    greedy,
    greedy_metrics,
    sampled,
    sampled_metrics,
    suite_id,
)
from tasks.verify.verifier import get_verifier
from warehouse.loops import Checkpoint
from warehouse.query import query, read

_MARKS = """
    SELECT c.prompt_id, p.problem, s.outcome = 'pass' AS passed
    FROM candidates AS c JOIN scores AS s USING (loop, round, candidate_id)
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    WHERE c.loop = $loop AND c.round = $round AND c.checkpoint_id = $checkpoint AND c.split = 'eval'
      AND c.temperature = 0 AND c.max_tokens = $max_tokens AND s.verifier = $verifier
      AND coalesce(s.role, 'filter') = 'filter'
      AND ends_with(c.unit, $suite) AND ends_with(s.unit, $suite)
    ORDER BY c.prompt_id"""


def evaluate(round_: Round[Any], checkpoint: Checkpoint, name: str) -> pl.DataFrame:
    """A checkpoint's greedy verdicts, one row a held-out prompt: prompt_id, problem, passed.

    What an earlier round has measured on the same suite is read, not done again.
    """
    settings, verifier = round_.recipe.evaluation, round_.recipe.verification.verifier
    held_out = held_out_prompts(round_)
    strictness = round_.recipe.verification.strictness
    suite = suite_id(
        held_out, get_verifier(verifier, strictness=strictness), settings, further(round_.recipe)
    )
    earlier = read(round_.lake, "evaluations", {"loop": round_.loop, "checkpoint_id": checkpoint.id})
    earlier = earlier.filter(pl.col("suite") == suite)
    if earlier.is_empty():
        _measure(round_, checkpoint, name, held_out, suite)
    return query(
        round_.lake,
        _MARKS,
        {
            "loop": round_.loop,
            "round": round_.number if earlier.is_empty() else earlier["round"][0],
            "checkpoint": checkpoint.id,
            "max_tokens": settings.max_tokens,
            "verifier": verifier,
            "suite": f"/{suite}",
        },
        scope={"loop": round_.loop},
    )


def held_out_prompts(round_: Round[Any]) -> pl.DataFrame:
    """The loop's held-out prompts, in order of id."""
    fixed = read(round_.lake, "prompts", {"loop": round_.loop, "round": 0})
    return fixed.filter(pl.col("split") == "eval").sort("prompt_id")


def further(recipe: Recipe) -> list[str]:
    """The other recipe values that decide answers to held-out prompts, where they are not the default."""
    stop = recipe.sampling.stop
    values: dict[str, Any] = {"stop": stop} if stop else {}
    values |= {} if recipe.prompts.asking.is_plain else {"asked": recipe.prompts.asking.label}
    values |= text_settings(recipe)
    return [json.dumps(values)] if values else []


def _measure(
    round_: Round[Any], checkpoint: Checkpoint, name: str, held_out: pl.DataFrame, suite: str
) -> None:
    """Answers, verdicts and metrics of one checkpoint; metrics come last and so mark the work as done."""
    settings, verifier = round_.recipe.evaluation, round_.recipe.verification.verifier
    some, stop = held_out.head(settings.sampled_count), round_.recipe.sampling.stop
    total = held_out.height + some.height * settings.samples
    metrics = []
    with round_.step("evaluate", total, f"answers ({name})") as advance:

        def judged(kind: str, prompts: pl.DataFrame, sampling: Sampling) -> pl.DataFrame:
            answer_frames, scores = [], []
            for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)):
                shard = prompts.filter(pl.col("prompt_id").is_in(ids))
                unit = Unit(round_.loop, round_.number, f"{kind}-{checkpoint.id}", number, suite)
                seed = round_.recipe.seed
                batch = answers(round_, shard, checkpoint, sampling, unit, seed, advance)
                questions = batch.join(shard.select("prompt_id", "reference"), on="prompt_id")
                answer_frames.append(batch)
                scores.append(verdicts(round_, questions, {unit: ids}, verifier))
            outcomes = pl.concat(scores).select("candidate_id", "outcome", "answer")
            problems = prompts.select("prompt_id", "problem")
            return pl.concat(answer_frames).join(outcomes, on="candidate_id").join(problems, on="prompt_id")

        metrics += greedy_metrics(judged("greedy", held_out, greedy(settings, stop)))
        if not some.is_empty():
            sampling = sampled(settings, stop)
            metrics += sampled_metrics(judged("sampled", some, sampling), sampling.samples)
    rows = evaluation_rows(metrics, checkpoint.id, suite, round_.loop, round_.number)
    unit = Unit(round_.loop, round_.number, f"evaluate-{checkpoint.id}", 0, suite)
    round_.log.once(unit, "evaluations", lambda: rows)
