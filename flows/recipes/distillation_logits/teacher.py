"""Whose distribution the student learns, and whether it compares with the student's."""

from __future__ import annotations

from pathlib import Path

import tutor
from schemas.errors import BadInput
from schemas.recipes.distillation_logits import DistillationLogits
from tasks.models.vocabulary import check_same_tokens, vocabulary_size


def teacher_folder(recipe: DistillationLogits) -> Path:
    """The teacher's folder; BadInput where the tutor's is meant and was not built."""
    if recipe.teacher.model is not None:
        return Path(recipe.teacher.model)
    if not (tutor.TEACHER / "config.json").is_file():
        raise BadInput(
            "the tutor's teacher is not built: `make teacher` builds it in minutes, or give "
            "--set teacher.model=FOLDER"
        )
    return tutor.TEACHER


def check_teacher(recipe: DistillationLogits, base: Path) -> None:
    """Refuse a teacher that is not there or whose logits do not compare, and a k that is no part of them."""
    check_same_tokens(base, teacher_folder(recipe), recipe.prompts.chat)
    size = vocabulary_size(base)
    if recipe.distil.support != "whole" and recipe.distil.k >= size:
        raise BadInput(
            f"training.distil.k is {recipe.distil.k}, of a vocabulary of {size}: take support whole"
        )
