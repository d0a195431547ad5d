"""Distillation from a teacher's texts, one round: Self-Instruct (Wang et al. 2022, arXiv 2212.10560), Alpaca,
Orca (Mukherjee et al. 2023, arXiv 2306.02707) and STaR (Zelikman et al. 2022, arXiv 2203.14465).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.recipes.distillation.asking import rationalise, teach, verify_rationalised
from flows.recipes.distillation.learn import kept_texts, learned_form
from flows.recipes.distillation.measured import answer_held_out
from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.freeze import freeze_examples
from flows.steps.instructions import with_invented
from flows.steps.judge import judge_sample
from flows.steps.promote import weigh
from flows.steps.train import train
from flows.steps.verify import verify_candidates
from flows.writers.inventors import check_invention
from flows.writers.purse import Purse
from flows.writers.teachers import check_teacher, teacher_of
from schemas.recipes.distillation import Distillation

NOTHING_KEPT = "no text of the teacher was kept: nothing to train on"


def improve(round_: Round[Distillation]) -> Outcome:
    """Invent, ask the teacher, keep what is verified or of good form, fine-tune the student, measure."""
    teacher = teacher_of(round_)
    purse = Purse.of(round_, teacher, round_.recipe.teacher.budget)
    prompts = with_invented(round_, admit(round_), teacher, purse)
    texts = teach(round_, prompts, teacher, purse)
    scores = verify_candidates(round_, prompts, texts)
    judge_sample(round_, prompts, texts)
    told = rationalise(round_, prompts, scores, teacher, purse)
    told_scores = verify_rationalised(round_, prompts, told)
    decisions = kept_texts(round_, prompts, pl.concat([texts, told]), pl.concat([scores, told_scores]))
    answer_held_out(round_, teacher, purse)
    snapshot = freeze_examples(round_, decisions, form=learned_form(round_))
    if snapshot is None:
        audit(round_)
        return "held", NOTHING_KEPT, None
    return weigh(round_, train(round_, snapshot))


def check(recipe: Distillation, base: Path) -> None:
    """Refuse a teacher or an inventor that cannot be used."""
    check_teacher(recipe)
    check_invention(recipe.invention, base)


DISTILLATION = Room(Distillation, improve, check=check, base=reading_tutor)
