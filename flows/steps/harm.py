"""How harmful answers are: measured on held-out red-team prompts, beside over-refusal and accuracy, and the
gate.

Who judges harm is the recipe's to say: a verifier, or a model with a rubric. Its verdicts have the role
`audit`: no filter sees them. Only a pass is harmless.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from flows.opening.red_team import HELD_OUT, LOOK_ALIKE
from flows.round.round import Outcome, Round
from flows.steps.audit import audit
from flows.steps.evaluate import evaluate, further
from flows.steps.generate import answers
from flows.steps.judge_harm import Judged, judge_label, judge_of_harm, judge_of_refusals
from flows.steps.red_team import prompts_in
from flows.steps.task import shards
from schemas.ids import digest
from schemas.recipes.harm import AgainstHarm
from schemas.units import Unit
from tasks.admit.pairs import starts
from tasks.evaluate.gate import decide
from tasks.evaluate.margin import margin
from tasks.evaluate.measure import Metric, evaluation_rows, greedy, problems_of
from tasks.evaluate.passk import design_effect, wilson_interval
from tasks.models.conversation import prompt_columns
from tasks.verify.scores import sample_of_prompts
from warehouse.loops import Checkpoint
from warehouse.query import query, read

_MARKS = """
    SELECT c.prompt_id, p.problem, s.outcome = 'pass' AS passed
    FROM candidates AS c JOIN scores AS s USING (loop, round, candidate_id)
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    WHERE c.loop = $loop AND c.round = $round AND c.checkpoint_id = $checkpoint AND c.split = $split
      AND c.kind = 'answer' AND s.role = 'audit' AND ends_with(c.unit, $suite) AND ends_with(s.unit, $suite)
    ORDER BY c.prompt_id"""


def score_texts(round_: Round[AgainstHarm], prompts: pl.DataFrame, texts: list[pl.DataFrame]) -> None:
    """Put verdicts of harm on a round's texts on record, of a share of its prompts; nothing goes by them."""
    sample = sample_of_prompts(prompts, round_.recipe.harm.share, round_.recipe.seed)
    columns = ("candidate_id", "prompt_id", "split", "text")
    frame = pl.concat([one.select(columns) for one in texts]).join(_about(sample), on="prompt_id")
    judged = judge_of_harm(round_)
    with round_.step("harm", frame.height, "verdicts") as advance:
        for number, ids in enumerate(shards(sample["prompt_id"].to_list(), round_.recipe.shard_size)):
            judged(frame.filter(pl.col("prompt_id").is_in(ids)), round_.unit("harm", number), advance)


def weigh_harm(round_: Round[AgainstHarm], challenger: Checkpoint) -> Outcome:
    """Measure champion and challenger, ask every monitor, and promote who surely does less harm and has not
    surely lost more accuracy than the recipe allows; the verdict, why, and the challenger.
    """
    gate = round_.recipe.gate
    evaluate(round_, round_.champion, "champion")
    base = evaluate(round_, round_.base, "base")
    after = evaluate(round_, challenger, "challenger")
    harm_before, harm_after = (measure_harm(round_, one) for one in (round_.champion, challenger))
    stops = [f"{r.monitor} {r.metric}" for r in audit(round_) if r.verdict == "stop"]
    problems = problems_of(harm_before)
    less = decide(
        harm_before["passed"].to_list(), harm_after["passed"].to_list(), gate.alpha, stops, problems
    )
    kept = margin(base["passed"].to_list(), after["passed"].to_list(), gate.accuracy_share, problems_of(base))
    stands = f"accuracy {kept.ratio:.3f} ({kept.low:.3f} to {kept.high:.3f}) of the base's"
    reason = f"harmless answers {less.reason}; {stands}"
    if stops:
        return "stopped", less.reason, challenger
    if less.promote and kept.below <= gate.alpha:
        return "held", f"{reason}, surely below {gate.accuracy_share:g} of it", challenger
    return ("promoted" if less.promote else "held"), reason, challenger


def measure_harm(round_: Round[AgainstHarm], checkpoint: Checkpoint) -> pl.DataFrame:
    """A checkpoint's answers to the held-out red-team prompts: prompt_id, problem, passed (harmless). The
    problem of a prompt without one is how its dialogue begins.

    Its rows of `evaluations` are `harmful` and, of the look-alikes, `over_refusal`. What an earlier round has
    measured on the same suite is read, not done again.
    """
    red_team, look_alikes = prompts_in(round_, HELD_OUT), prompts_in(round_, LOOK_ALIKE)
    suite = _suite(round_, pl.concat([red_team, look_alikes]))
    earlier = read(round_.lake, "evaluations", {"loop": round_.loop, "checkpoint_id": checkpoint.id})
    earlier = earlier.filter(pl.col("suite") == suite)
    if earlier.is_empty():
        metrics = [_measured(round_, checkpoint, red_team, suite, "harmful", judge_of_harm(round_))]
        if not look_alikes.is_empty():
            judged = judge_of_refusals(round_)
            metrics.append(_measured(round_, checkpoint, look_alikes, suite, "over_refusal", judged))
        rows = evaluation_rows(metrics, checkpoint.id, suite, round_.loop, round_.number)
        unit = Unit(round_.loop, round_.number, f"evaluate-harm-{checkpoint.id}", 0, suite)
        round_.log.once(unit, "evaluations", lambda: rows)
    return _marks(round_, checkpoint, HELD_OUT, suite, None if earlier.is_empty() else earlier["round"][0])


def _measured(
    round_: Round[AgainstHarm],
    checkpoint: Checkpoint,
    prompts: pl.DataFrame,
    suite: str,
    metric: str,
    judged: Judged,
) -> Metric:
    """The share of a checkpoint's answers to prompts that do not pass, one a prompt, with its interval."""
    recipe = round_.recipe
    sampling = greedy(recipe.evaluation, recipe.sampling.stop).model_copy(
        update={"temperature": recipe.harm.temperature}
    )
    with round_.step("evaluate", prompts.height, f"answers ({metric})") as advance:
        for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), recipe.shard_size)):
            shard = prompts.filter(pl.col("prompt_id").is_in(ids))
            unit = Unit(
                round_.loop, round_.number, f"{metric.replace('_', '-')}-{checkpoint.id}", number, suite
            )
            rows = answers(round_, shard, checkpoint, sampling, unit, recipe.seed, advance)
            judging = replace(unit, step=f"judge-{unit.step}")  # what a judge writes are candidates too
            judged(rows.join(_about(shard), on="prompt_id"), judging, _silent)
    marks = _marks(round_, checkpoint, prompts["split"][0], suite, None)
    failed, n = int((~marks["passed"]).sum()), marks.height
    low, high = wilson_interval(failed, n, design_effect((~marks["passed"]).to_numpy(), problems_of(marks)))
    return Metric(metric, failed / n, n, low, high)


def _marks(
    round_: Round[AgainstHarm], checkpoint: Checkpoint, split: str, suite: str, then: int | None
) -> pl.DataFrame:
    values = {
        "loop": round_.loop,
        "round": round_.number if then is None else then,
        "checkpoint": checkpoint.id,
        "split": split,
        "suite": f"/{suite}",
    }
    marks = query(round_.lake, _MARKS, values, scope={"loop": round_.loop})
    asked = prompts_in(round_, split)
    begun = asked.select("prompt_id", starts(asked))
    marks = marks.join(begun, on="prompt_id", how="left", maintain_order="left")
    return marks.with_columns(problem=pl.coalesce("problem", "start")).drop("start")


def _suite(round_: Round[AgainstHarm], prompts: pl.DataFrame) -> str:
    """12 hex digits over all that a measure of harm depends on beside the checkpoint."""
    recipe = round_.recipe
    values = [
        recipe.harm.model_dump_json(exclude={"share"}),
        judge_label(round_),
        *recipe.refusals,
        str(recipe.evaluation.max_tokens),
        *further(recipe),
    ]
    return digest(["harm", *prompts["prompt_id"].sort(), *values])[:12]


def _silent(rows: int, *, held: bool = False, note: str = "") -> None:
    """Shows nothing."""


def _about(prompts: pl.DataFrame) -> pl.DataFrame:
    """What a judge reads of prompts: prompt_id, reference, prompt, messages."""
    return prompts.select("prompt_id", "reference").join(prompt_columns(prompts), on="prompt_id")
