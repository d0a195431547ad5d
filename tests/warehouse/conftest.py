"""A fresh lake, and prompts to append to it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from schemas.ids import make_id
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.log import Log


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


@pytest.fixture
def log(lake: Lake) -> Log:
    return Log(lake)


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
