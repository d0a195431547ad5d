"""Which inventor writes new prompts: the tutor's own unless the user names others."""

from __future__ import annotations

from pathlib import Path

from flows.writers.tutors import tutor_of
from schemas.recipes.invention import Invention
from tasks.invent.inventor import Inventor, load_inventor
from tasks.models.checkpoint import check_readable


def chosen_inventor(invention: Invention, base: Path) -> Inventor:
    """The inventor that a recipe names, else the writer's own, with the recipe's settings.

    The writer is the model named, else one that descends from `base`. RecipeError where it cannot be used.
    """
    folder = base if invention.model is None else Path(invention.model)
    own = "instruction" if tutor_of(folder) is None else "story"
    settings = invention.model_dump(include={"shots", "temperature", "top_p", "max_tokens"})
    return load_inventor(invention.inventor or own).changed(**settings)


def check_invention(invention: Invention, base: Path) -> None:
    """Refuse what cannot run for a loop that begins from `base`; RecipeError or ModelError of one line."""
    chosen_inventor(invention, base)
    if invention.model is not None:
        check_readable(Path(invention.model))
