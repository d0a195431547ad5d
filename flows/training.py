"""The training step of a round: one job, its ledger and its result as facts, its failures too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from flows.progress import Advance
from flows.round import Round, lake_path
from flows.steps import step_task
from flows.training_progress import TrainingProgress
from schemas.errors import TrainingFailed
from schemas.identity import checkpoint_id
from schemas.ids import make_id
from schemas.job import TrainingJob
from tasks.train.launch import run_job
from tasks.train.records import ledger_rows, training_row
from tasks.train.result import StepTaken, accept
from warehouse.artifacts import listing
from warehouse.fault import reached
from warehouse.lake import Where
from warehouse.loops import Checkpoint, checkpoint
from warehouse.query import read


def train(round_: Round[Any], snapshot_id: str) -> Checkpoint:
    """The challenger: fine-tuned from the base or the champion on the snapshot."""
    recipe = round_.recipe
    start = round_.base if recipe.start_from == "base" else round_.champion
    training_id = make_id(
        "train",
        round_.number,
        round_.loop,
        snapshot_id,
        start.id,
        recipe.training.model_dump_json(),
        recipe.seed,
    )
    job = TrainingJob(
        training_id=training_id,
        snapshot_id=snapshot_id,
        snapshot=str(round_.lake.place(f"snapshots/{snapshot_id}")),
        base_checkpoint=start.id,
        base=str(start.folder),
        output=str(round_.lake.root / "trainings" / training_id),
        seed=recipe.seed,
        hyperparameters=recipe.training,
        accelerate_config=recipe.accelerate_config,
    )
    where: Where = {"loop": round_.loop, "round": round_.number}
    examples = int(read(round_.lake, "snapshots", where)["rows"].sum())
    total = recipe.training.epochs * math.ceil(examples / recipe.training.batch_size)
    with round_.step("train", total, "steps") as advance:
        return _trained(round_, job, advance)


@step_task
def _trained(round_: Round[Any], job: TrainingJob, advance: Advance) -> Checkpoint:
    """Run the job unless the log holds its checkpoint; its ledger and result become facts."""
    log, number = round_.log, round_.number
    log.once(round_.unit("train-start"), "trainings", lambda: training_row(job, number, "started"))
    shown, artifact = 0, TrainingProgress(job.training_id)

    def progress(taken: StepTaken) -> None:
        nonlocal shown
        advance(taken.step - shown, f"loss {taken.loss:.3f}, {taken.tokens_per_second:,.0f} tokens/s")
        shown = taken.step
        artifact.show(taken)
        reached("train: step taken")

    def made() -> pl.DataFrame:
        with round_.model_at_work():
            result = run_job(job, in_process=round_.recipe.launcher == "in-process", progress=progress)
        reached("train: job finished")
        accept(result)
        place = f"trainings/{job.training_id}"
        if not log.holds(round_.unit("train-finish"), "trainings"):  # another host's result stays what it is
            round_.lake.publish(place)
        files = listing(round_.lake, place)
        log.once(round_.unit("steps"), "steps", lambda: ledger_rows(job, result, number))
        done = training_row(job, number, "finished", result, files=files)
        log.once(round_.unit("train-finish"), "trainings", lambda: done)
        reached("train: recorded")
        return pl.DataFrame(
            {
                "checkpoint_id": checkpoint_id(number, job.training_id),
                "content_hash": result.weights_hash,
                "parent_id": job.base_checkpoint,
                "training_id": job.training_id,
                "role": "policy",
                "path": lake_path(Path(result.checkpoint), round_.lake),
            }
        )

    try:
        rows = log.once(round_.unit("train"), "checkpoints", made)
    except TrainingFailed as error:
        _record_failure(round_, job, error)
        raise
    return checkpoint(round_.lake, rows.row(0, named=True))


def _record_failure(round_: Round[Any], job: TrainingJob, error: TrainingFailed) -> None:
    """A failed training stays in the log, one row for each time it failed."""
    attempt = 0
    round_.lake.publish(f"trainings/{job.training_id}")
    while round_.log.holds(unit := round_.unit("train-failed", attempt), "trainings"):
        attempt += 1
    row = training_row(job, round_.number, "failed", error=str(error), attempt=attempt)
    round_.log.once(unit, "trainings", lambda: row)
