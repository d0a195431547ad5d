"""Nights small enough to run many times."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.recipes.rooms import parse_recipe
from schemas.recipes.parsing import load_recipe
from schemas.recipes.rft import Rft
from tests.conformance.nights import NIGHTS, night_arguments
from tests.conftest import REPOSITORY

SMALL = NIGHTS["rft"].settings


def small_night(lake: Path | str, rounds: int = 2) -> list[str]:
    """Arguments of a whole night on the tutor that takes seconds."""
    return night_arguments("rft", lake, rounds)


@pytest.fixture(scope="session")
def small_recipe() -> Rft:
    """The same recipe as a value."""
    from schemas.recipes.parsing import with_value

    values = load_recipe(REPOSITORY / "tutor" / "rft.yaml")
    for setting in SMALL:
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    return parse_recipe(values)
