"""Distillation by logits, one round: off-policy (Hinton et al. 2015, arXiv 1503.02531) or on-policy
(Agarwal et al. 2023, arXiv 2306.13649).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from flows.recipes.distillation_logits.teacher import check, comparable_teacher
from flows.recipes.distillation_logits.texts import chosen
from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.generate import generate
from flows.steps.iteration import drawn, optimizer_steps
from flows.steps.promote import weigh
from flows.steps.teach import soft_targets
from flows.steps.verify import verify_candidates
from schemas.recipes.distillation_logits import DistillationLogits
from warehouse.loops import Checkpoint

NOTHING_LEARNED = "no text was kept to learn from: view last_decisions has the reasons"


def improve(round_: Round[DistillationLogits]) -> Outcome:
    """Have texts written and the teacher say what it would write at each place, learn that, again and again;
    measure, and promote what is better.
    """
    prompts, recipe = admit(round_), round_.recipe
    teacher = comparable_teacher(round_)
    students = [round_.start]
    for number in range(1, recipe.iterations + 1):
        phase = round_.in_phase(number, "iteration")
        asked = drawn(phase, prompts, number, recipe.prompts_per_iteration or prompts.height)
        writer = teacher if recipe.writer == "teacher" else students[-1]
        texts = generate(phase, asked, [writer], keep_tokens=True)
        decisions = chosen(phase, asked, texts, verify_candidates(phase, asked, texts))
        students += learn(phase, asked, texts, decisions, students, teacher)
    if len(students) == 1:
        audit(round_)
        return "held", NOTHING_LEARNED, None
    return weigh(round_, students[-1])


def learn(
    phase: Round[DistillationLogits],
    asked: pl.DataFrame,
    texts: pl.DataFrame,
    decisions: pl.DataFrame,
    students: Sequence[Checkpoint],
    teacher: Checkpoint,
) -> list[Checkpoint]:
    """The student after its steps on the texts kept, from soft targets in the log or from the teacher itself
    (`students`: all so far, the first is where the round starts); none where no text was kept.
    """
    recipe = phase.recipe
    asks = teacher if recipe.logits_from == "job" else None
    told = [] if asks else soft_targets(phase, asked, texts, decisions, teacher, recipe.distil)
    earlier = students[-1] if len(students) > 1 else None
    settings = (recipe.training, recipe.carries, asks)
    return optimizer_steps(phase, decisions, told, "distil", students[-1], earlier, *settings)


DISTILLATION_LOGITS = Room(DistillationLogits, improve, check=check, base=reading_tutor)
