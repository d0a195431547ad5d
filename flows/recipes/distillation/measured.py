"""What the teacher itself says to the held-out prompts, asked as the student's texts were: once a loop.

Beside the student's answers they show what it copies of the teacher's mistakes. No gate goes by them.
"""

from __future__ import annotations

import polars as pl

from flows.recipes.distillation.asking import most_read, ways
from flows.round.round import Round
from flows.steps.evaluate import further, held_out_prompts
from flows.steps.generate import answers
from flows.steps.task import shards
from flows.steps.verify import verdicts
from flows.writers.purse import Purse
from schemas.recipes.distillation import Distillation
from schemas.units import Unit
from tasks.evaluate.measure import evaluation_rows, greedy, greedy_metrics, suite_id
from tasks.verify.verifier import get_verifier
from warehouse.loops import Checkpoint
from warehouse.query import read


def answer_held_out(round_: Round[Distillation], teacher: Checkpoint, purse: Purse) -> None:
    """Record the teacher's greedy answers to held-out prompts, with verdicts, unless the loop has them."""
    recipe, held_out = round_.recipe, held_out_prompts(round_)
    if not recipe.teacher.held_out:
        return
    verification = recipe.verification
    verifier = get_verifier(verification.verifier, strictness=verification.strictness)
    parts = ways(round_, held_out)
    asked = [f"{one.request.asking.label}{dict(one.request.settings)}" for one in parts]
    suite = suite_id(held_out, verifier, recipe.evaluation, [*further(recipe), "teacher", *asked])
    measured = read(round_.lake, "evaluations", {"loop": round_.loop, "checkpoint_id": teacher.id})
    sampling = greedy(recipe.evaluation, recipe.sampling.stop)
    read_tokens = sum(most_read(round_, teacher, p.prompts, p.request.asking, sampling)[0] for p in parts)
    most = held_out.height * sampling.max_tokens
    if (measured["suite"] == suite).any() or not purse.allows(read_tokens, most, held_out.height):
        purse.tell()
        return
    number, judged = 0, []
    with round_.step("evaluate", held_out.height, "answers (teacher)") as advance:
        for part in parts:
            for ids in shards(part.prompts["prompt_id"].to_list(), recipe.shard_size):
                unit = Unit(round_.loop, round_.number, f"greedy-{teacher.id}", number, suite)
                number += 1
                shard = part.prompts.filter(pl.col("prompt_id").is_in(ids))
                _, fitting = most_read(round_, teacher, shard, part.request.asking, sampling)
                texts = answers(
                    round_, fitting, teacher, sampling, unit, recipe.seed, advance, request=part.request
                )
                rows = texts.join(shard.select("prompt_id", "reference", "problem"), on="prompt_id")
                own = verdicts(round_, rows, {unit: ids}, verification.verifier)
                judged.append(rows.join(own.select("candidate_id", "outcome"), on="candidate_id"))
    if not (marks := pl.concat(judged)).is_empty():
        metrics = evaluation_rows(greedy_metrics(marks), teacher.id, suite, round_.loop, round_.number)
        unit = Unit(round_.loop, round_.number, f"evaluate-{teacher.id}", 0, suite)
        round_.log.once(unit, "evaluations", lambda: metrics)
