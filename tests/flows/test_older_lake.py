"""Promises to a lake from before recipes had rooms: it verifies, goes on where it was killed, and seals.

`lakes/older.tar.gz` was written by commit ea9ca1e: a loop of a tiny model on 24 stories with worked answers.
Round 0 was held, round 1 stopped by its audit, round 2 killed within its training. Its base and its prompt
file are on record under /tmp/ratchet-older: that commit knew no other way.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.nightly import check, night
from flows.recipes.rooms import parse_recipe
from schemas.errors import ModelError
from warehouse.lake import Lake
from warehouse.loops import LoopState, fold
from warehouse.models.location import SEARCHED
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake

ARCHIVE = Path(__file__).parent / "lakes" / "older.tar.gz"
HOME = Path("/tmp/ratchet-older")
LOOP = "older"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake as it was left, with its base and prompts where it has them on record."""
    return unpacked(tmp_path_factory.mktemp("older"))


def unpacked(folder: Path) -> Lake:
    """The lake in a folder, its base and prompts where it has them on record."""
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    shutil.copytree(folder / "base", HOME / "base", dirs_exist_ok=True)
    shutil.copy(folder / "prompts.jsonl", HOME / "prompts.jsonl")
    return Lake(folder / "lake")


def state(lake: Lake) -> LoopState:
    loop_state = fold(lake, LOOP)
    assert loop_state is not None
    return loop_state


def damage(lake: Lake) -> list[str]:
    """What is wrong with the lake; what a round under way has left lying is not."""
    return [f"{one.where}: {one.what}" for one in verify_lake(lake, deep=True).items if one.kind == "damage"]


def test_it_verifies_goes_on_under_the_id_of_its_training_and_seals(older: Lake) -> None:
    assert damage(older) == []
    before = {name: read(older, name) for name in ("decisions", "candidates", "snapshots")}
    begun = read(older, "trainings").filter(pl.col("round") == 2)
    assert begun["state"].to_list() == ["started"]
    open_recipe = state(older).open_recipe
    assert open_recipe is not None

    rounds = night.fn(parse_recipe(open_recipe), LOOP, None, older.where)  # type: ignore[attr-defined]

    assert [one["verdict"] for one in rounds][:2] == ["held", "stopped"]
    assert rounds[2]["verdict"] != "open"
    trained = read(older, "trainings").filter(pl.col("round") == 2)
    assert trained["training_id"].unique().to_list() == begun["training_id"].to_list()
    assert set(trained["state"]) == {"started", "finished"}
    for name, rows in before.items():
        key = f"{name.removesuffix('s')}_id"
        assert set(rows[key]) <= set(read(older, name)[key])
    assert verify_lake(older, deep=True).items == []


def test_its_next_round_is_of_today_and_both_are_read_as_one(older: Lake) -> None:
    last = state(older).last_recipe
    assert last is not None
    night.fn(parse_recipe(last), LOOP, 1, older.where)  # type: ignore[attr-defined]
    chains = query(older, "SELECT DISTINCT round, chain FROM decisions ORDER BY ALL").rows()
    assert (0, None) in chains
    assert (3, "filter-references") in chains
    accepted = query(older, "SELECT round FROM last_decisions WHERE kept GROUP BY 1 ORDER BY 1")
    assert accepted["round"].to_list() == [0, 1, 2, 3]
    assert verify_lake(older, deep=True).items == []


def test_an_older_lake_is_adopted_moved_and_goes_on(tmp_path: Path) -> None:
    lake = unpacked(tmp_path)
    before = state(lake)
    base, recipe = before.base, parse_recipe(before.open_recipe or {})
    folder = shutil.move(HOME / "base", tmp_path / "models" / "deep" / "base")
    try:
        with pytest.raises(ModelError, match=f"neither in the lake nor at {HOME}/base.*--adopt --models DIR"):
            check(recipe, LOOP, lake.where, None)
        refused = CliRunner().invoke(main, ["maintain", "--adopt", "--lake", lake.where])
        assert refused.exit_code == 1
        assert f"not adopted: {base.id} of loop {LOOP} (weights {base.content_hash})" in refused.output
        arguments = ["maintain", "--adopt", "--models", str(tmp_path / "models"), "--lake", lake.where]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SEARCHED, "")
            taken = CliRunner().invoke(main, arguments)
        assert taken.exit_code == 0, taken.output
        assert f"adopted: {base.id}" in taken.output
    finally:
        shutil.rmtree(folder)
    shutil.move(lake.root, tmp_path / "elsewhere")
    moved = Lake(tmp_path / "elsewhere")
    rounds = night.fn(recipe, LOOP, None, moved.where)  # type: ignore[attr-defined]
    assert rounds[2]["verdict"] != "open"
    assert verify_lake(moved, deep=True).items == []
    again = state(moved).base
    assert (again.id, again.content_hash) == (base.id, base.content_hash)
    assert again.folder.is_relative_to(moved.root)
