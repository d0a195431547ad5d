"""Pairs that a model compares: two answers by the policy, shown in both orders, by a pairwise rubric or by
the principles of a constitution.

Training prompts get theirs in each round, held-out ones once in a loop, so that its preference models are
measured on the same pairs. A pair without a verdict stays one, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.generate import generate
from flows.steps.pair import pairs_in
from flows.steps.task import shards, step_task
from flows.steps.verify import verify_by_auditor
from flows.writers.engines import engine_of
from flows.writers.guests import guest, with_models_here
from flows.writers.judges import chosen_rubric
from flows.writers.tutors import tutor_of
from schemas.errors import RecipeError
from schemas.identity import preference_id
from schemas.recipes.feedback import ByFeedback
from schemas.tables import PREFERENCES
from schemas.units import Unit
from tasks.generate.written import Written
from tasks.models.conversation import prompt_columns
from tasks.verify.judge.pairs import preference_rows
from tasks.verify.judge.principles import Comparing, principle_rows
from tasks.verify.judge.rubric import Rubric
from tasks.verify.scores import sample_of_prompts
from tutor import JUDGE
from warehouse.loops import Checkpoint

SAME = "both answers are the same"


def compare_answers(
    round_: Round[ByFeedback], prompts: pl.DataFrame, writer: Checkpoint, audited: bool = True
) -> None:
    """A policy's answers to prompts, two and two compared: candidates, judgements and preferences. With
    `audited` the auditor's verdicts on its sample of them too.
    """
    if prompts.is_empty():
        return
    candidates = generate(round_, prompts, [writer])
    if audited:
        verify_by_auditor(round_, prompts.filter(pl.col("reference").is_not_null()), candidates)
    judge = judge_of(round_, writer)
    pairs = two_and_two(candidates).join(prompt_columns(prompts), on="prompt_id")
    with round_.step("compare", pairs.height, "pairs") as advance:
        for number, ids in enumerate(shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)):
            shard = pairs.filter(pl.col("prompt_id").is_in(ids))
            _compared(round_, shard, judge, round_.unit("compare", number), advance)


def held_out_pairs(
    round_: Round[ByFeedback], prompts: pl.DataFrame, writer: Checkpoint, *splits: str
) -> pl.DataFrame:
    """The loop's pairs about held-out prompts of these splits of which one is preferred, people's and
    models', in order of id; columns as `pairs_in` has them.

    `prompts` are those that a model compares answers to, once in a loop: not where an earlier round has done
    so for their split.
    """
    compared = pairs_in(round_, *splits).filter(
        pl.col("source").is_null() & (pl.col("round") < round_.number)
    )
    is_done = pl.col("prompt_id").is_in(compared["prompt_id"].implode())
    done = prompts.filter(is_done)["split"].unique().implode()
    missing = prompts.filter(~pl.col("split").is_in(done))
    compare_answers(round_.in_phase(1, "held-out"), missing, writer, audited=False)
    return pairs_in(round_, *splits).filter(pl.col("probability") > 0.5)


def feedback_share(round_: Round[ByFeedback], prompts: pl.DataFrame) -> pl.DataFrame:
    """Of prompts the share whose answers a model compares."""
    return sample_of_prompts(prompts, round_.recipe.feedback.share, round_.recipe.seed)


@dataclass(frozen=True)
class Judge:
    """Who compares, as a checkpoint of the loop, and by what."""

    checkpoint: Checkpoint
    by: Rubric | Comparing

    @property
    def label(self) -> str:
        """What answers are compared by."""
        return self.by.label if isinstance(self.by, Rubric) else self.by.constitution.label


def judge_of(round_: Round[ByFeedback], writer: Checkpoint) -> Judge:
    """The comparing model of a round, and its rubric or principles; `writer` wrote the answers."""
    other = feedback_model(round_.recipe, round_.base.folder)
    judge = writer if other is None else guest(round_, other, "judge")
    here = with_models_here(round_.recipe, round_.lake, round_.loop)
    return Judge(judge, compared_by(here, round_.base.folder))


def feedback_model(recipe: ByFeedback, base: Path) -> Path | None:
    """The folder of the comparing model: the recipe's, or the tutor's judge for the tutor's own models; None:
    the checkpoint that wrote the answers.
    """
    if recipe.feedback.model is not None:
        return Path(recipe.feedback.model)
    if recipe.feedback.constitution is not None and tutor_of(base) == "rude":
        return None  # it was taught to compare by its constitution, which the judge was not
    return JUDGE if tutor_of(base) is not None else None


def compared_by(recipe: ByFeedback, base: Path) -> Rubric | Comparing:
    """What answers are compared by: the recipe's constitution or rubric, else the default rubric of its
    comparing model. RecipeError where more principles are asked for than there are.
    """
    feedback = recipe.feedback
    constitution = feedback.read_constitution()
    if constitution is not None:
        if feedback.principles > len(constitution.principles):
            raise RecipeError(
                f"feedback.principles: {feedback.principles}, where the constitution {constitution.name} has "
                f"{len(constitution.principles)}"
            )
        return Comparing(constitution, feedback.principles, feedback.reasoning, feedback.clamp)
    return chosen_rubric(feedback_model(recipe, base) or base, feedback.rubric, "pairwise", feedback.votes)


def two_and_two(candidates: pl.DataFrame) -> pl.DataFrame:
    """Answers 0 and 1, 2 and 3 ... of a prompt as pairs: prompt_id, split, left_id, right_id, left, right."""
    pairs = candidates.with_columns(pair=pl.col("sample_index") // 2).sort("prompt_id", "sample_index")
    own = pairs.group_by("prompt_id", "split", "pair", maintain_order=True).agg("candidate_id", "text")
    whole = own.filter(pl.col("candidate_id").list.len() == 2)
    sides = (("left", 0), ("right", 1))
    return whole.select(
        "prompt_id",
        "split",
        *(pl.col("candidate_id").list.get(place).alias(f"{side}_id") for side, place in sides),
        *(pl.col("text").list.get(place).alias(side) for side, place in sides),
    )


@step_task
def _compared(
    round_: Round[ByFeedback], shard: pl.DataFrame, judge: Judge, unit: Unit, advance: Advance
) -> pl.DataFrame:
    """One shard's judgements, then its preferences; a unit with preferences is done.

    Where a process was killed between the two, a rubric's verdicts are read from the judgements on record.
    Those that need the judge's probabilities come from an engine in process, which writes the same again.
    """
    how: dict[str, Any] = {
        "judge_checkpoint_id": judge.checkpoint.id,
        "round_number": round_.number,
        "seed": round_.seed,
    }
    feedback = round_.recipe.feedback

    def compute() -> pl.DataFrame:
        with round_.model_at_work():
            engine = engine_of(round_, judge.checkpoint, unit, role="judge")
            same = pl.col("left") == pl.col("right")
            if isinstance(judge.by, Comparing):
                texts, rows = principle_rows(engine, judge.by, shard.filter(~same), **how)
            else:
                soft: dict[str, Any] = {
                    "logits": feedback.logits,
                    "clamp": feedback.clamp if feedback.logits else None,
                }
                if round_.log.holds(unit, "candidates") and not feedback.logits:
                    engine = Written(engine, round_.log.rows([unit], "candidates"))
                texts, rows = preference_rows(engine, judge.by, shard.filter(~same), **how, **soft)
        round_.log.once(unit, "candidates", lambda: texts)
        return pl.concat([rows, _of_equal(shard.filter(same), judge, round_.number)], how="diagonal_relaxed")

    rows = round_.log.once(unit, "preferences", compute)
    advance(shard.height)
    return rows


def _of_equal(pairs: pl.DataFrame, judge: Judge, number: int) -> pl.DataFrame:
    """Pairs of the same text twice: nobody was asked."""
    label, own = judge.label, judge.checkpoint.id
    return PREFERENCES.frame(
        [
            {
                "preference_id": preference_id(number, left, right, label, own),
                "prompt_id": prompt,
                "chosen_id": left,
                "rejected_id": right,
                "principle": label,
                "judge_checkpoint_id": own,
                "reason": SAME,
            }
            for prompt, left, right in pairs.select("prompt_id", "left_id", "right_id").iter_rows()
        ]
    )
