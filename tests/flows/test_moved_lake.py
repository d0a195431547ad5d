"""Promises of a lake that stands alone: moved, and what it was made from gone, it goes on and is traced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.commands.choice import chosen_recipe
from flows.nightly import check, night
from flows.opening.opening import check_opening, open_loop
from flows.recipes.rooms import parse_recipe
from schemas.errors import ModelError
from schemas.job import Hyperparameters, TrainingJob
from schemas.recipes.rft import Rft
from tasks.train.launch import run_job
from tasks.verify.judge.rubric import ROOM, load_rubric
from tutor import BASE, JUDGE
from warehouse.lake import Lake
from warehouse.lineage import trace
from warehouse.log import Log
from warehouse.loops import find_checkpoint, fold
from warehouse.models.location import SEARCHED
from warehouse.query import read
from warehouse.verify.lake import verify_lake

LOOP = "ada"


def copied(source: Path, to: Path) -> Path:
    """A model as a user has it, in a folder of their own."""
    return Path(shutil.copytree(source, to))


def judged_by(recipe: Rft, judge: Path, rubric: Path | None = None) -> Rft:
    """The recipe with a model that judges some answers."""
    values = recipe.model_dump(mode="json")
    values["prompts"]["eval_count"] = values["prompts"]["per_round"] = 8
    values["verification"]["judge"] |= {"share": 0.3, "model": str(judge), "votes": 1}
    values["verification"]["judge"]["rubric"] = rubric and str(rubric)
    return parse_recipe(values)


def test_a_moved_lake_goes_on_without_what_it_was_made_from(tmp_path: Path, small_recipe: Rft) -> None:
    base, judge = copied(BASE, tmp_path / "mine" / "base"), copied(JUDGE, tmp_path / "mine" / "judge")
    rubric = Path(shutil.copyfile(ROOM / "story.yaml", tmp_path / "mine" / "rubric.yaml"))
    recipe = judged_by(small_recipe, judge, rubric)
    run = night.fn  # type: ignore[attr-defined]
    before = run(recipe, LOOP, 1, str(tmp_path / "lake"), str(base))
    shutil.move(tmp_path / "lake", tmp_path / "elsewhere" / "lake")
    shutil.rmtree(tmp_path / "mine")
    lake = Lake(tmp_path / "elsewhere" / "lake")

    recipe = chosen_recipe("rft", lake.where, LOOP, None, None, None, ())  # as the loop has it
    assert recipe.verification.judge.rubric == load_rubric("story").model_dump(mode="json")
    after = run(recipe, LOOP, 1, lake.where)

    assert after[0]["champion_out"] == before[0]["champion_out"]
    assert after[1]["verdict"] in ("promoted", "held")
    assert read(lake, "checkpoints", {"role": "judge"}).height == 1  # the same in both rounds
    scores = read(lake, "scores", {"verifier": "judge"})
    assert set(scores["round"]) == {0, 1}
    assert scores["verifier_version"].n_unique() == 1
    assert verify_lake(lake, deep=True).items == []
    state = fold(lake, LOOP)
    assert state is not None
    assert state.base.folder.is_relative_to(lake.root)
    outside = str(tmp_path / "elsewhere")
    for row in read(lake, "checkpoints").to_dicts():
        assert not Path(row["path"]).is_absolute()
        assert outside not in str(row["origin"])
        assert find_checkpoint(lake, LOOP, row["checkpoint_id"]).folder.is_relative_to(lake.root)
    replayed(lake, tmp_path)


def replayed(lake: Lake, tmp_path: Path) -> None:
    """A training done again from its snapshot and its base, both of the lake, comes to the same weights."""
    row = read(lake, "trainings", {"round": 0, "state": "finished"}).row(0, named=True)
    job = TrainingJob(
        training_id=row["training_id"],
        objective=row["objective"],
        snapshot_id=row["snapshot_id"],
        snapshot=str(lake.place(f"snapshots/{row['snapshot_id']}")),
        base_checkpoint=row["base_checkpoint_id"],
        base=str(find_checkpoint(lake, LOOP, row["base_checkpoint_id"]).folder),
        output=str(tmp_path / "again"),
        seed=row["seed"],
        hyperparameters=Hyperparameters.model_validate_json(row["hyperparameters"]),
    )
    weights = run_job(job, in_process=True).weights_hash
    story = trace(lake, row["checkpoint_id"])["generations"]
    assert story[0]["checkpoint"]["content_hash"] == weights
    assert story[-1]["checkpoint"]["path"].startswith("models/")


def test_a_model_kept_by_reference_is_found_again_by_its_hash(
    tmp_path: Path, small_recipe: Rft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SEARCHED, "")
    base = copied(BASE, tmp_path / "base")
    recipe = small_recipe.model_copy(update={"model_files": "reference"})
    lake = Lake.create(tmp_path / "lake")
    open_loop(Log(lake), LOOP, check_opening(base, recipe))
    assert lake.store.entries("models") == []
    copied(JUDGE, tmp_path / "hub" / "judge")
    shutil.move(base, tmp_path / "hub" / "org" / "snapshots" / "base")
    with pytest.raises(ModelError, match="name a folder that holds it by --models DIR or RATCHET_MODELS"):
        check(recipe, LOOP, lake.where, None)
    monkeypatch.setenv(SEARCHED, str(tmp_path / "hub"))
    check(recipe, LOOP, lake.where, None)
    state = fold(lake, LOOP)
    assert state is not None
    assert state.base.folder == tmp_path / "hub" / "org" / "snapshots" / "base"
