"""A training on record as a job that can be run again, from the lake alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.recipes.rooms import parse_recipe
from schemas.errors import BadInput, ModelError, NotFound
from schemas.job import Chat, Hyperparameters, TrainingJob
from tasks.train.carried import OPTIMIZER
from tasks.train.launch import kept_configuration
from warehouse.artifacts import listed
from warehouse.lake import Lake
from warehouse.loops import checkpoint
from warehouse.models.location import is_trained_here
from warehouse.models.tensors import weights_hash
from warehouse.query import query, read


def training_of(lake: Lake, checkpoint_id: str) -> dict[str, Any]:
    """The finished training that made a checkpoint; BadInput for one that was not trained in this lake."""
    rows = read(lake, "checkpoints", {"checkpoint_id": checkpoint_id})
    if rows.is_empty():
        raise NotFound(f"the lake at {lake.where} holds no {checkpoint_id}")
    own = rows["training_id"][0]
    if own is None:
        raise BadInput(f"{checkpoint_id} was not trained in this lake: there is nothing to run again")
    finished = read(lake, "trainings", {"training_id": own, "state": "finished"})
    if finished.is_empty():
        raise NotFound(f"the lake at {lake.where} holds no finished {own}, which made {checkpoint_id}")
    return finished.row(0, named=True)


def recorded_job(lake: Lake, training: dict[str, Any], output: Path) -> TrainingJob:
    """The job of a row of `trainings` (finished), into a folder of its own.

    ModelError where the base that it began from is not in the lake, or has other weights than are on record.
    """
    snapshot = read(lake, "snapshots", {"snapshot_id": training["snapshot_id"]}).row(0, named=True)
    return TrainingJob(
        training_id=training["training_id"],
        objective=training["objective"],
        snapshot_id=snapshot["snapshot_id"],
        snapshot=str(lake.place(snapshot["path"])),
        base_checkpoint=training["base_checkpoint_id"],
        base=str(_model(lake, training["base_checkpoint_id"])),
        output=str(output),
        seed=training["seed"],
        hyperparameters=Hyperparameters.model_validate_json(training["hyperparameters"]),
        chat=_chat(lake, training),
        accelerate_config=_configuration(lake, training),
        **_carried(lake, training["optimizer_from"]),
        **_asked(lake, training["teacher_id"]),
    )


def _model(lake: Lake, checkpoint_id: str) -> Path:
    """The folder of a checkpoint, whose weights are those on record."""
    row = read(lake, "checkpoints", {"checkpoint_id": checkpoint_id}).row(0, named=True)
    folder = checkpoint(lake, row).folder
    found = weights_hash(folder)
    if found != row["content_hash"]:
        where = "the lake's" if is_trained_here(str(row["path"])) else str(folder)
        raise ModelError(
            f"{checkpoint_id}: {where} weights hash to {found[:12]}, on record are {row['content_hash'][:12]}"
        )
    return folder


def _chat(lake: Lake, training: dict[str, Any]) -> Chat:
    """How the model's turns were written, by the recipe on record; the default where no round is."""
    where = {"loop": training["loop"], "round": training["round"], "state": "started"}
    rows = read(lake, "rounds", where)
    values = json.loads(rows["recipe_values"][0]) if rows.height else {}
    return parse_recipe(values, origin="the recipe on record").prompts.chat if values else Chat()


def _configuration(lake: Lake, training: dict[str, Any]) -> str | None:
    """The copy of the Accelerate configuration that the training was launched by; None: there was none."""
    folder = lake.place(f"trainings/{training['training_id']}")
    file = folder / "job.json"
    named = json.loads(file.read_text("utf-8")).get("accelerate_config") if file.is_file() else None
    if named is None:
        return None
    copy = kept_configuration(folder, named)
    return str(copy or named)


def _asked(lake: Lake, teacher: str | None) -> dict[str, str]:
    """The teacher that a training asked, by its checkpoint."""
    return {} if teacher is None else {"teacher_id": teacher, "teacher": str(_model(lake, teacher))}


def _carried(lake: Lake, before: str | None) -> dict[str, str]:
    """The optimizer's state that a training left, from its row: the file's hash is on record there."""
    if before is None:
        return {}
    sql = "SELECT files FROM trainings WHERE training_id = $own AND state = 'finished'"
    files = {file.name: file.sha256 for file in listed(query(lake, sql, {"own": before})["files"][0])}
    name = f"trainings/{before}/{OPTIMIZER}"
    return {
        "optimizer_from": before,
        "optimizer_state": str(lake.place(name)),
        "optimizer_hash": files[name],
    }
