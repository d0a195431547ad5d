"""The recipes, by name: a new one needs one line here."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from flows.recipes.constitutional.round import CONSTITUTIONAL
from flows.recipes.constitutional_rl.round import CONSTITUTIONAL_RL
from flows.recipes.distillation.round import DISTILLATION
from flows.recipes.distillation_logits.round import DISTILLATION_LOGITS
from flows.recipes.grpo.round import GRPO
from flows.recipes.preference_model.round import PREFERENCE_MODEL
from flows.recipes.rft.round import RFT
from flows.recipes.room import Room
from flows.recipes.self_rewarding.round import SELF_REWARDING
from schemas.errors import RecipeError
from schemas.recipes.parsing import validated
from schemas.recipes.shared import Recipe

ROOMS: Mapping[str, Room] = {
    "rft": RFT,
    "grpo": GRPO,
    "self-rewarding": SELF_REWARDING,
    "preference-model": PREFERENCE_MODEL,
    "constitutional": CONSTITUTIONAL,
    "constitutional-rl": CONSTITUTIONAL_RL,
    "distillation-logits": DISTILLATION_LOGITS,
    "distillation": DISTILLATION,
}

if TYPE_CHECKING:
    AnyRecipe = Recipe
else:
    AnyRecipe = Annotated[
        reduce(operator.or_, (room.values for room in ROOMS.values())), Field(discriminator="recipe")
    ]
"""What a flow takes: any of the recipes, told apart by its name, so that Prefect's form shows them all."""


def room_of(recipe: Recipe) -> Room:
    """The room of a recipe's values."""
    return ROOMS[recipe.recipe]


def parse_recipe(values: Mapping[str, Any], *, origin: str = "recipe") -> AnyRecipe:
    """A recipe from plain values; a RecipeError names the first wrong key and what is allowed."""
    name = values.get("recipe", "rft")
    room = ROOMS.get(name) if isinstance(name, str) else None
    if room is None:
        raise RecipeError(f"{origin}: no recipe named {name!r}; there is: {', '.join(ROOMS)}")
    recipe: Recipe = validated(room.values, values, origin)
    return recipe
