"""Promises of a replay: a checkpoint is made again from the lake alone, and what differs is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from flows.pages.replay import replay_lines
from flows.replay.job import recorded_job, training_of
from flows.replay.replay import compared, replay
from schemas.errors import BadInput, NotFound
from tasks.train.launch import run_job
from tests.commands import ratchet
from warehouse.lake import Lake
from warehouse.query import read


@pytest.fixture(scope="module")
def lake(undisturbed: Callable[[str], Lake]) -> Lake:
    """A night of rft, to read."""
    return undisturbed("rft")


def last_of(lake: Lake) -> str:
    """The newest checkpoint that was trained."""
    rows = read(lake, "checkpoints").filter(pl.col("training_id").is_not_null())
    return str(rows.sort("round")["checkpoint_id"][-1])


def test_a_lake_copied_elsewhere_makes_the_same_weights_again_and_is_not_changed(
    lake: Lake, tmp_path: Path, plain: dict[str, str]
) -> None:
    """In another process, from a beginning of the id."""
    copied = Path(shutil.copytree(lake.root, tmp_path / "elsewhere" / "lake"))
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    own = last_of(lake)
    result = ratchet("replay", own[:16], "--json", "--lake", str(copied), environment=plain)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["checkpoint_id"] == own
    assert told["same"]
    assert (
        told["recorded"]
        == told["replayed"]
        == read(lake, "checkpoints", {"checkpoint_id": own})["content_hash"][0]
    )
    assert (told["differs"], told["first_step"], told["tensors"]) == ([], None, [])
    after = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    assert after == before


def test_what_did_not_come_out_the_same_is_named_with_how_far(lake: Lake, tmp_path: Path) -> None:
    training = training_of(lake, last_of(lake))
    job = recorded_job(lake, training, tmp_path / "again")
    other = job.hyperparameters.model_copy(update={"learning_rate": 2 * job.hyperparameters.learning_rate})
    job = job.model_copy(update={"hyperparameters": other})
    result = run_job(job, in_process=True)
    result = result.model_copy(update={"versions": {**result.versions, "torch": "0.1"}})
    told = compared(lake, training, job, result)
    assert not told["same"]
    assert told["recorded"] != told["replayed"] == result.weights_hash
    assert [one["what"] for one in told["differs"]] == ["torch"]
    assert told["first_step"] == 1, "the first step's loss is that of the base"
    assert told["tensors"]
    assert told["tensors"][0]["largest"] == max(one["largest"] for one in told["tensors"]) > 0
    assert all(0 < one["values"] <= one["of"] for one in told["tensors"])
    page = "\n".join(replay_lines(told))
    assert "OTHER weights" in page
    assert "losses differ from step 1 on" in page
    assert f"torch: {json.loads(training['versions'])['torch']} then, 0.1 now" in page


def test_a_folder_that_holds_the_training_or_is_of_the_lake_is_refused(lake: Lake, tmp_path: Path) -> None:
    """Else the weights that are there would be compared, and nothing trained."""
    own = last_of(lake)
    (tmp_path / str(training_of(lake, own)["training_id"])).mkdir()
    with pytest.raises(BadInput, match="is there already: give another folder"):
        replay(lake, own, tmp_path)
    (tmp_path / "link").symlink_to(lake.root)
    for inside in (lake.root, lake.root / "trainings", tmp_path / "link" / "trainings"):
        with pytest.raises(BadInput, match="is inside the lake"):
            replay(lake, own, inside)


def test_what_was_not_trained_here_is_refused(lake: Lake) -> None:
    base = read(lake, "checkpoints").filter(pl.col("training_id").is_null())["checkpoint_id"][0]
    with pytest.raises(BadInput, match="was not trained in this lake"):
        training_of(lake, base)
    with pytest.raises(NotFound, match="holds no ckpt-00007"):
        training_of(lake, "ckpt-00007-000000000000000000000000")
