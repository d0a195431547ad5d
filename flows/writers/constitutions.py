"""Which constitution a recipe goes by: one that comes along, the tutor's own, or a user's file."""

from __future__ import annotations

import tutor
from schemas.recipes.constitution import Constitution
from tasks.critique.constitution import load_constitution

TUTORS = "tutor"
"""What the tutor's is called; it lies beside the tutor's recipes."""


def chosen_constitution(name: str) -> Constitution:
    """The constitution of a name or a YAML file; a RecipeError says what is wrong."""
    return load_constitution(tutor.RECIPES / "constitution.yaml" if name == TUTORS else name)
