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
    """Record the teacher's greedy answers to the held-out prompts that fit its context, with verdicts, unless
    the loop has them.
    """
    recipe = round_.recipe
    if not recipe.teacher.held_out:
        return
    held_out, sampling = held_out_prompts(round_), greedy(recipe.evaluation, recipe.sampling.stop)
    verification = recipe.verification
    verifier = get_verifier(verification.verifier, strictness=verification.strictness)
    parts = ways(round_, held_out)
    asked = [f"{one.request.asking.label}{dict(one.request.settings)}" for one in parts]
    reads = [most_read(round_, teacher, one.prompts, one.request.asking, sampling) for one in parts]
    fitting = pl.concat([prompts for _, prompts in reads])
    if fitting.is_empty():
        return
    suite = suite_id(fitting, verifier, recipe.evaluation, [*further(recipe), "teacher", *asked])
    measured = read(round_.lake, "evaluations", {"loop": round_.loop, "checkpoint_id": teacher.id})
    read_tokens, most = sum(tokens for tokens, _ in reads), fitting.height * sampling.max_tokens
    if (measured["suite"] == suite).any() or not purse.allows(read_tokens, most, fitting.height):
        purse.tell()
        return
    number, judged = 0, []
    with round_.step("evaluate", fitting.height, "answers (teacher)") as advance:
        for part, (_, prompts) in zip(parts, reads, strict=True):
            for ids in shards(prompts["prompt_id"].to_list(), recipe.shard_size):
                unit = Unit(round_.loop, round_.number, f"greedy-{teacher.id}", number, suite)
                number += 1
                shard = prompts.filter(pl.col("prompt_id").is_in(ids))
                texts = answers(
                    round_, shard, teacher, sampling, unit, recipe.seed, advance, request=part.request
                )
                rows = texts.join(shard.select("prompt_id", "reference", "problem"), on="prompt_id")
                own = verdicts(round_, rows, {unit: ids}, verification.verifier)
                judged.append(rows.join(own.select("candidate_id", "outcome"), on="candidate_id"))
    metrics = greedy_metrics(pl.concat(judged))
    rows = evaluation_rows(metrics, teacher.id, suite, round_.loop, round_.number)
    unit = Unit(round_.loop, round_.number, f"evaluate-{teacher.id}", 0, suite)
    round_.log.once(unit, "evaluations", lambda: rows)
