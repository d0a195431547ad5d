"""What a recipe is to the house: one plain value, from which every recipe gets the same night."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tutor
from flows.opening.opening import Opening
from flows.round.round import Outcome, Round
from schemas.recipes.shared import Recipe
from warehouse.lake import Lake


def on_varied_stories(recipe: Recipe) -> bool:
    """Whether a recipe trains on the tutor's varied stories, which its readers have read."""
    return recipe.prompts.path is None and recipe.prompts.family == "varied"


def reading_tutor(recipe: Recipe) -> Path:
    """The tutor that has read the stories that a recipe trains on."""
    return tutor.READER if on_varied_stories(recipe) else tutor.BASE


def mannered_tutor(recipe: Recipe) -> Path:
    """The tutor that has a manner and can criticise and revise."""
    return tutor.RUDE


@dataclass(frozen=True)
class Room:
    """One recipe.

    values: the class of its values, a `schemas.recipes.shared.Recipe` with a `recipe` name of its own.
    improve: what a round of it does, from its prompts to a verdict.
    check: refuses, by a BadInput of one line, values that cannot run on a base's folder.
    opens: what a new loop of it opens with, beyond prompts and base.
    continues: refuses, by a BadInput of one line, a loop that was not opened with what the values need.
    base: the tutor's folder that a loop starts from where the user names no model.
    pairs: whether the records of a prompt file are pairs of answers, of which one is preferred.
    """

    values: type[Any]
    improve: Callable[[Round[Any]], Outcome]
    check: Callable[[Any, Path], None] = lambda recipe, base: None
    opens: Callable[[Any, Opening], Opening] = lambda recipe, opening: opening
    continues: Callable[[Any, Lake, str], None] = lambda recipe, lake, loop: None
    base: Callable[[Any], Path] = lambda recipe: tutor.BASE
    pairs: bool = False
