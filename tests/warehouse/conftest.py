"""A fresh lake, prompts to append to it, and copies of a lake with a whole story."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas.ids import make_id
from schemas.units import Unit
from tests.warehouse import story
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.store.fault import ask


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


@pytest.fixture
def log(lake: Lake) -> Log:
    return Log(lake)


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with a whole story (story.py); tests work on copies, for a lake can be moved."""
    return Path(story.build(tmp_path_factory.mktemp("told") / "lake").root)


@pytest.fixture
def copy(told: Path, tmp_path: Path) -> Callable[[], Lake]:
    """Fresh copies of the lake with a whole story."""

    def fresh() -> Lake:
        number = sum(1 for _ in tmp_path.glob("copy-*"))
        return Lake(Path(shutil.copytree(told, tmp_path / f"copy-{number}")))

    return fresh


@pytest.fixture
def full(copy: Callable[[], Lake]) -> Lake:
    """One copy of the lake with a whole story."""
    return copy()


@pytest.fixture
def fault() -> Iterator[Callable[[str], None]]:
    """Ask for a fault (warehouse/store/fault.py) in this process; none is left when the test ends."""
    yield ask
    ask("")


def prompts(unit: Unit, count: int = 5) -> pl.DataFrame:
    """`count` rows of table prompts that belong to a unit."""
    return pl.DataFrame(
        {
            "prompt_id": [make_id("prompt", unit.round, unit.key, i) for i in range(count)],
            "split": ["train"] * count,
            "source": ["test"] * count,
            "line": range(count),
            "text": [f"prompt {i} of {unit.key}, ünïcode \x00 '\"" for i in range(count)],
        },
        schema_overrides={"prompt_id": pl.String, "text": pl.String, "line": pl.Int64},
    )
