"""Reads constitutions: those that come along, by name from `constitutions/`, and a user's own YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.recipes.constitution import Constitution
from tasks.models.template import load_template, template_names

ROOM = Path(__file__).resolve().parent / "constitutions"


def constitution_names() -> tuple[str, ...]:
    """The constitutions that come with Ratchet."""
    return template_names(ROOM)


def load_constitution(name: str | Path | Mapping[str, Any]) -> Constitution:
    """The constitution of a name, of a YAML file or of plain values; a RecipeError says what is wrong."""
    return load_template(Constitution, ROOM, name)
