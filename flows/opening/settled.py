"""A recipe with what its files hold in their place: its values say all that it does, and go on record."""

from __future__ import annotations

from typing import Any, TypeVar

from flows.opening.asking import with_shots
from flows.writers.constitutions import chosen_constitution
from flows.writers.explaining import chosen_messages
from schemas.job import Strict
from schemas.recipes.shared import Recipe
from tasks.invent.inventor import load_inventor
from tasks.models.template import is_file
from tasks.verify.judge.rubric import load_rubric

R = TypeVar("R", bound=Recipe)
V = TypeVar("V", bound=Strict)
LOADERS = {"rubric": load_rubric, "inventor": load_inventor}


def settled(recipe: R) -> R:
    """The recipe with examples, rubrics, inventors, a constitution and system messages in the place of their
    files, not needed again. The latter two are read by their names too: they are what is learned.

    RecipeError or PromptFileError of one line where a file does not hold what it should.
    """
    return with_templates(with_shots(recipe))


def with_templates(values: V) -> V:
    """Values in which every rubric's and inventor's file is replaced by what it holds."""
    update: dict[str, Any] = {}
    for name in type(values).model_fields:
        value = getattr(values, name)
        if name == "constitution" and isinstance(value, str):
            update[name] = chosen_constitution(value)
        elif name == "system_messages" and isinstance(value, str):
            update[name] = chosen_messages(value)
        elif name in LOADERS and is_file(value):
            update[name] = LOADERS[name](value).model_dump(mode="json")
        elif isinstance(value, Strict):
            update[name] = with_templates(value)
    return values.model_copy(update=update)
