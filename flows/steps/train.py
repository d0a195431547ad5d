"""The training step of a round: one job, its ledger and its result as facts, its failures too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from flows.round.progress import Advance, reporter
from flows.round.round import Round, lake_path
from flows.steps.freeze import examples_in
from flows.steps.task import step_task
from flows.steps.training_progress import TrainingProgress
from flows.writers.engines import make_room
from schemas.errors import TrainingFailed, UnitConflict
from schemas.identity import checkpoint_id, training_id
from schemas.job import Hyperparameters, TrainingJob
from schemas.units import Unit
from tasks.train.carried import OPTIMIZER
from tasks.train.launch import kept_configuration, run_job
from tasks.train.objectives.registry import get_objective
from tasks.train.records import ledger_rows, training_row
from tasks.train.result import OptimizerStep, accept
from warehouse.artifacts import listed, listing
from warehouse.loops import Checkpoint, checkpoint
from warehouse.models.described import files_hash
from warehouse.query import read
from warehouse.store.fault import reached

_ASKED = ("objective", "snapshot_id", "base_checkpoint_id", "seed", "optimizer_from", "teacher_id")


def train(
    round_: Round[Any],
    snapshot_id: str,
    objective: str = "sft",
    start: Checkpoint | None = None,
    hyper: Hyperparameters | None = None,
    optimizer_of: Checkpoint | None = None,
    teacher: Checkpoint | None = None,
) -> Checkpoint:
    """The challenger: trained on the snapshot, from the base or the champion as the recipe says.

    `start` and `hyper` take the place of the recipe's. It goes on with the optimizer of the training that
    made `optimizer_of`, which has to have kept its state (`keep_optimizer`), and asks the `teacher`. A round,
    or a phase of it, trains once for each objective: UnitConflict where it has trained on something else.
    """
    recipe = round_.recipe
    hyper = hyper or recipe.training
    start = start or round_.start
    own = training_id(
        round_.number, round_.loop, snapshot_id, start.id, hyper.model_dump_json(), round_.seed, objective
    )
    job = TrainingJob(
        training_id=own,
        objective=objective,
        snapshot_id=snapshot_id,
        snapshot=str(round_.lake.place(f"snapshots/{snapshot_id}")),
        base_checkpoint=start.id,
        base=str(start.folder),
        output=str(round_.lake.root / "trainings" / own),
        seed=round_.seed,
        hyperparameters=hyper,
        chat=recipe.prompts.chat,
        accelerate_config=_configuration(round_),
        **_carried(round_, optimizer_of),
        **({} if teacher is None else {"teacher_id": teacher.id, "teacher": str(teacher.folder)}),
    )
    total = hyper.epochs * math.ceil(examples_in(round_, snapshot_id) / hyper.batch_size)
    with round_.step("train", total, "steps") as advance:
        return _trained(round_, job, advance)


def _carried(round_: Round[Any], made: Checkpoint | None) -> dict[str, str]:
    """The job's values that name the optimizer's state which the training of a checkpoint left."""
    if made is None:
        return {}
    lake, loop = round_.lake, round_.loop
    own = str(read(lake, "checkpoints", {"loop": loop, "checkpoint_id": made.id})["training_id"][0])
    place = f"trainings/{own}"
    rows = read(lake, "trainings", {"loop": loop, "training_id": own, "state": "finished"})
    files = {file.name: file.sha256 for file in listed(rows["files"][0])}
    name = f"{place}/{OPTIMIZER}"
    if name not in files:
        raise TrainingFailed(f"{own} kept no optimizer's state (training.keep_optimizer) to go on with")
    state = lake.place(place) / OPTIMIZER
    return {"optimizer_from": own, "optimizer_state": str(state), "optimizer_hash": files[name]}


def _configuration(round_: Round[Any]) -> str | None:
    """The recipe's Accelerate configuration; where that is gone, the copy that the loop's newest training by
    it left in the lake.
    """
    named: str | None = round_.recipe.accelerate_config
    if named is None or Path(named).is_file():
        return named
    rows = read(round_.lake, "trainings", {"loop": round_.loop, "state": "finished"})
    for training in rows.sort("round", descending=True)["training_id"]:
        if (copy := kept_configuration(round_.lake.root / "trainings" / training, named)) is not None:
            reporter().say(f"  {named} is gone: training by the copy in the lake, {copy}")
            return str(copy)
    return named


@step_task
def _trained(round_: Round[Any], job: TrainingJob, advance: Advance) -> Checkpoint:
    """Run the job unless the log holds its checkpoint; its ledger and result become facts."""
    log, number = round_.log, round_.number
    job = _begun(round_, job)
    count, artifact = 0, TrainingProgress(job.training_id)

    def progress(step: OptimizerStep) -> None:
        nonlocal count
        advance(step.step - count, note=f"loss {step.loss:.3f}, {step.tokens_per_second:,.0f} tokens/s")
        count = step.step
        artifact.show(step)
        reached("train: step taken")

    def compute() -> pl.DataFrame:
        make_room(round_.recipe)
        with round_.model_at_work():
            result = run_job(job, in_process=round_.recipe.launcher == "in-process", progress=progress)
        reached("train: job finished")
        accept(result)
        place = f"trainings/{job.training_id}"
        finish = _unit(round_, job, "train-finish")
        if not log.holds(finish, "trainings"):  # another host's result stays what it is
            round_.lake.publish(place)
        files = listing(round_.lake, place)
        log.once(_unit(round_, job, "steps"), "steps", lambda: ledger_rows(job, result, number))
        finish_row = training_row(job, number, "finished", result, files=files)
        log.once(finish, "trainings", lambda: finish_row)
        reached("train: recorded")
        return pl.DataFrame(
            {
                "checkpoint_id": checkpoint_id(number, job.training_id),
                "content_hash": result.weights_hash,
                "parent_id": job.base_checkpoint,
                "training_id": job.training_id,
                "role": get_objective(job.objective, job.hyperparameters).role,
                "path": lake_path(Path(result.checkpoint), round_.lake),
                "files_hash": files_hash(Path(result.checkpoint)),
            }
        )

    try:
        rows = log.once(_unit(round_, job, "train"), "checkpoints", compute)
    except TrainingFailed as error:
        _record_failure(round_, job, error)
        raise
    return checkpoint(round_.lake, rows.row(0, named=True))


def _begun(round_: Round[Any], job: TrainingJob) -> TrainingJob:
    """The job as it began: a training on record keeps its id; UnitConflict where it is another job."""
    unit = _unit(round_, job, "train-start")
    row = round_.log.once(unit, "trainings", lambda: training_row(job, round_.number, "started"))
    start = row.row(0, named=True)
    named = (job.objective, job.snapshot_id, job.base_checkpoint, job.seed, job.optimizer_from)
    request = (*named, job.teacher_id, job.hyperparameters)
    began = (
        *(start[name] for name in _ASKED),
        Hyperparameters.model_validate_json(start["hyperparameters"]),
    )
    if began != request:
        raise UnitConflict(
            f"{unit.key} holds {start['training_id']}, {start['objective']} on {start['snapshot_id']}, which "
            "is not the training asked for now: train again in another phase of the round"
        )
    folder = round_.lake.root / "trainings" / start["training_id"]
    return job.model_copy(update={"training_id": start["training_id"], "output": str(folder)})


def _unit(round_: Round[Any], job: TrainingJob, step: str, shard: int = 0) -> Unit:
    """A unit of the round's training for the job's objective."""
    return round_.unit(step if job.objective == "sft" else f"{step}-{job.objective}", shard)


def _record_failure(round_: Round[Any], job: TrainingJob, error: TrainingFailed) -> None:
    """A failed training stays in the log, one row for each time it failed."""
    attempt = 0
    round_.lake.publish(f"trainings/{job.training_id}")
    while round_.log.holds(unit := _unit(round_, job, "train-failed", attempt), "trainings"):
        attempt += 1
    row = training_row(job, round_.number, "failed", error=str(error), attempt=attempt)
    round_.log.once(unit, "trainings", lambda: row)
