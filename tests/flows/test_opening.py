"""Promises of a loop's opening: what it begins with is proved, and stays what it was."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from flows.nightly import check, night
from flows.opening.opening import check_opening, check_recipe, open_loop
from schemas.errors import BadInput, ModelError
from schemas.recipes.rft import Rft
from tasks.models.recorded import check_weights
from tutor import BASE, JUDGE
from tutor.world import stories
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.query import read

LOOP = "ada"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy of the tutor, to be changed."""
    shutil.copytree(BASE, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def lake(tmp_path: Path, base: Path, small_recipe: Rft) -> Lake:
    """A lake with a loop that was opened on that copy."""
    opened = Lake.create(tmp_path / "lake")
    open_loop(Log(opened), LOOP, check_opening(base, small_recipe))
    return opened


def edited(base: Path, name: str) -> None:
    """One of the files that say what is computed, changed as people change them."""
    file = base / name
    if name.endswith(".json"):
        values = json.loads(file.read_text("utf-8"))
        changes = {"config.json": ("rms_norm_eps", 0.5), "generation_config.json": ("temperature", 0.5)}
        key, value = changes.get(name, ("edited", True))
        values[key] = value
        file.write_text(json.dumps(values), "utf-8")
    else:
        file.write_text(file.read_text("utf-8") + "{# another #}", "utf-8")


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "chat_template.jinja", "tokenizer_config.json"]
)
def test_a_model_that_was_edited_after_round_0_is_another_model(
    name: str, lake: Lake, base: Path, small_recipe: Rft
) -> None:
    state = fold(lake, LOOP)
    assert state is not None
    edited(base, name)
    check_weights(state.base)  # the lake's own copy, which an edit of the original does not reach
    edited(state.base.folder, name)
    with pytest.raises(ModelError, match="configuration, tokenizer or chat template"):
        check_weights(state.base)
    with pytest.raises(BadInput, match=f"loop {LOOP} began from .* use another --loop"):
        check(small_recipe, LOOP, str(lake.root), str(base))
    other = check_opening(base, small_recipe)
    open_loop(Log(lake), "other", other)
    rows = read(lake, "checkpoints").sort("loop")
    assert rows["content_hash"].n_unique() == 1
    assert rows["files_hash"].n_unique() == 2


def test_the_log_says_when_a_loop_was_opened(lake: Lake) -> None:
    state = fold(lake, LOOP)
    assert state is not None
    assert abs((datetime.now(UTC).date() - state.opened).days) <= 1


def test_a_lake_from_before_such_hashes_goes_by_the_weights(lake: Lake) -> None:
    state = fold(lake, LOOP)
    assert state is not None
    edited(state.base.folder, "chat_template.jinja")
    check_weights(replace(state.base, files_hash=None))


def test_what_a_command_checks_is_not_done_again_by_its_night(tmp_path: Path, small_recipe: Rft) -> None:
    """The file is gone when the night begins, and so is what was kept when the next one does."""
    file, lake = tmp_path / "prompts.jsonl", Lake.create(str(tmp_path / "lake"))
    told = [{"question": one.question, "answer": one.solution} for one in stories(3, 40)]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    values = small_recipe.model_dump() | {"prompts": {"path": str(file), "per_round": 4, "eval_count": 8}}
    recipe = Rft.model_validate(values)
    opening = check(recipe, LOOP, lake.where, None, keep=True)
    assert opening is not None
    file.unlink()
    night.fn(recipe, LOOP, 1, lake.where)
    rows = read(lake, "prompts").filter(pl.col("split") == "eval")
    assert set(rows["text"]) == set(opening.held_out["text"])
    with pytest.raises(BadInput, match=r"prompts\.jsonl"):
        night.fn(recipe, "other", 1, lake.where)


def test_a_judge_that_is_not_whole_is_refused_before_a_round(tmp_path: Path, small_recipe: Rft) -> None:
    judge = tmp_path / "judge"
    shutil.copytree(JUDGE, judge)
    values = small_recipe.model_dump()
    values["verification"]["judge"] = {"share": 0.5, "model": str(judge)}
    check_recipe(Rft.model_validate(values), BASE)
    weights = (judge / "model.safetensors").read_bytes()
    (judge / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(ModelError, match="is not a readable safetensors file"):
        check_recipe(Rft.model_validate(values), BASE)


def test_an_origin_that_does_not_parse_is_refused_before_anything_is_written(
    base: Path, tmp_path: Path, small_recipe: Rft
) -> None:
    (base / "origin.json").write_text("{")
    with pytest.raises(BadInput, match=r"origin\.json does not parse"):
        check(small_recipe, LOOP, str(tmp_path / "lake"), str(base))
    assert not (tmp_path / "lake").exists()
