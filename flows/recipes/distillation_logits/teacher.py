"""Whose distribution the student learns, and whether it compares with the student's."""

from __future__ import annotations

from pathlib import Path

from flows.round.round import Round
from flows.writers.teachers import check_teacher, teacher_folder, teacher_of
from schemas.errors import BadInput
from schemas.recipes.distillation_logits import DistillationLogits
from tasks.models.checkpoint import context_length
from tasks.models.vocabulary import check_same_tokens, vocabulary_size
from warehouse.loops import Checkpoint


def check(recipe: DistillationLogits, base: Path) -> None:
    """Refuse a teacher that is not there or whose logits do not compare, and a k that is no part of them.
    What another loop's champion is, is seen in its round.
    """
    check_teacher(recipe)
    if recipe.teacher.loop is None:
        check_compares(recipe, base, teacher_folder(recipe.teacher))
    size = vocabulary_size(base)
    if recipe.distil.support != "whole" and recipe.distil.k >= size:
        raise BadInput(
            f"training.distil.k is {recipe.distil.k}, of a vocabulary of {size}: take support whole"
        )


def comparable_teacher(round_: Round[DistillationLogits]) -> Checkpoint:
    """The round's teacher, on record; BadInput where its logits do not compare with the student's."""
    teacher = teacher_of(round_)
    check_compares(round_.recipe, round_.base.folder, teacher.folder)
    return teacher


def check_compares(recipe: DistillationLogits, base: Path, teacher: Path) -> None:
    """BadInput where a teacher has other tokens than the student, or a context too short for the texts."""
    check_same_tokens(base, teacher, recipe.prompts.chat)
    context, needed = context_length(teacher), longest_text(recipe, base)
    if context is not None and context < needed:
        smaller = ", or a smaller training.max_tokens" if recipe.writer == "student" else ""
        raise BadInput(
            f"teacher {teacher} has a context of {context:,} tokens, the texts may have {needed:,}: take one"
            f" with a longer context{smaller}"
        )


def longest_text(recipe: DistillationLogits, base: Path) -> int:
    """The most tokens of a text that the teacher scores, or of a prompt and an answer where it writes."""
    context, most = context_length(base), recipe.training.max_tokens
    if context is None:
        return most
    longest = max(recipe.sampling.max_tokens, recipe.evaluation.max_tokens)
    written = context - longest + recipe.sampling.max_tokens  # beside the longest prompt that is admitted
    return max(min(most, context), written if recipe.writer == "teacher" else 0)
