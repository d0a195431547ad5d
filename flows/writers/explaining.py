"""Under which system messages a teacher explains: a set that comes along, the tutor's, or a user's file."""

from __future__ import annotations

from pathlib import Path

import tutor
from flows.writers.constitutions import TUTORS
from schemas.recipes.distillation import SystemMessages
from tasks.models.template import load_template

ROOM = Path(__file__).resolve().parents[2] / "tasks" / "generate" / "system_messages"


def chosen_messages(name: str) -> SystemMessages:
    """The set of a name or a YAML file; a RecipeError says what is wrong."""
    own = tutor.RECIPES / "explanations.yaml" if name == TUTORS else name
    return load_template(SystemMessages, ROOM, own)
