"""A training as facts: its states and its step ledger as rows of the log."""

from __future__ import annotations

import json

import polars as pl

from schemas.identity import checkpoint_id, step_id, training_event_id
from schemas.job import TrainingJob
from schemas.tables import STEPS
from tasks.train.result import TrainingResult


def training_row(
    job: TrainingJob,
    round_number: int,
    state: str,
    result: TrainingResult | None = None,
    *,
    error: str | None = None,
    attempt: int = 0,
    files: str | None = None,
) -> pl.DataFrame:
    """One row of table `trainings`: the job has started, finished (with its result and files) or failed."""
    row: dict[str, object] = {
        "event_id": training_event_id(round_number, job.training_id, state, attempt),
        "training_id": job.training_id,
        "state": state,
        "objective": job.objective,
        "snapshot_id": job.snapshot_id,
        "base_checkpoint_id": job.base_checkpoint,
        "hyperparameters": job.hyperparameters.model_dump_json(),
        "seed": job.seed,
        "error": error,
        "files": files,
        "optimizer_from": job.optimizer_from,
        "teacher_id": job.teacher_id,
    }
    if result is not None:
        row |= {
            "checkpoint_id": checkpoint_id(round_number, job.training_id),
            "devices": f"{result.devices} x {result.device}",
            "versions": json.dumps(result.versions),
            "step_count": result.steps,
            "tokens": result.tokens,
            "loss": result.final_loss,
            "seconds": result.seconds,
            "tokens_per_second": result.tokens_per_second,
            "peak_memory_bytes": result.peak_memory_bytes,
        }
    return pl.DataFrame([row])


def ledger_rows(job: TrainingJob, result: TrainingResult, round_number: int) -> pl.DataFrame:
    """Rows of table `steps`: the examples of each optimizer step, and all that the objective measured.

    A measure that has no column of its own stands in `metrics`, under its name.
    """
    ledger = pl.read_parquet(result.ledger, glob=False)
    ids = [step_id(round_number, job.training_id, step) for step in ledger["step"]]
    own = [column for column in STEPS.own_polars if column in ledger.columns]
    others = [column for column in ledger.columns if column not in own]
    metrics = pl.struct(others).struct.json_encode() if others else pl.lit(None, pl.String)
    return ledger.select(*own, metrics=metrics).with_columns(
        pl.Series("step_id", ids, dtype=pl.String), pl.lit(job.training_id).alias("training_id")
    )
