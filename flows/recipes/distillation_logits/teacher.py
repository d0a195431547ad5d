"""Whose distribution the student learns, and whether it compares with the student's."""

from __future__ import annotations

from pathlib import Path

from flows.round.round import Round
from flows.writers.teachers import check_teacher, teacher_folder, teacher_of
from schemas.errors import BadInput
from schemas.recipes.distillation_logits import DistillationLogits
from tasks.models.vocabulary import check_same_tokens, vocabulary_size
from warehouse.loops import Checkpoint


def check(recipe: DistillationLogits, base: Path) -> None:
    """Refuse a teacher that is not there or whose logits do not compare, and a k that is no part of them.
    What another loop's champion is, is seen in its round.
    """
    check_teacher(recipe)
    if recipe.teacher.loop is None:
        check_same_tokens(base, teacher_folder(recipe.teacher), recipe.prompts.chat)
    size = vocabulary_size(base)
    if recipe.distil.support != "whole" and recipe.distil.k >= size:
        raise BadInput(
            f"training.distil.k is {recipe.distil.k}, of a vocabulary of {size}: take support whole"
        )


def comparable_teacher(round_: Round[DistillationLogits]) -> Checkpoint:
    """The round's teacher, on record; BadInput where its logits do not compare with the student's."""
    teacher = teacher_of(round_)
    check_same_tokens(round_.base.folder, teacher.folder, round_.recipe.prompts.chat)
    return teacher
