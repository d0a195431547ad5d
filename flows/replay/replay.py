"""A checkpoint made again from the lake alone, and what differs where it does not come out the same."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from flows.replay.job import recorded_job, training_of
from schemas.errors import BadInput
from schemas.job import TrainingJob
from tasks.train.differences import differences
from tasks.train.launch import run_job
from tasks.train.records import training_row
from tasks.train.result import Progress, TrainingResult
from warehouse.ancestry.find import find
from warehouse.lake import Lake
from warehouse.loops import checkpoint
from warehouse.query import read

Fact = dict[str, Any]


def replay(lake: Lake, text: str, keep: Path | None = None, progress: Progress | None = None) -> Fact:
    """Train a checkpoint (its id, or a beginning of one) again from its snapshot, and compare.

    It is trained in a folder that is gone afterwards, or in `keep`; the lake is not changed. `same` says
    whether the weights hash to what is on record; see `compared` for the rest. BadInput where `keep` is of
    the lake, or holds this training already: its weights would be compared, and nothing trained.
    """
    if keep is not None and keep.resolve().is_relative_to(lake.root.resolve()):
        raise BadInput(f"{keep} is inside the lake, which a replay does not change: give another folder")
    training = training_of(lake, find(lake, text).id)
    with _folder(keep) as folder:
        job = recorded_job(lake, training, folder / training["training_id"])
        if Path(job.output).exists():
            raise BadInput(f"{job.output} is there already: give another folder")
        result = run_job(job, in_process=job.accelerate_config is None, progress=progress)
        return compared(lake, training, job, result)


def compared(lake: Lake, training: Fact, job: TrainingJob, result: TrainingResult) -> Fact:
    """What a training came to beside what is on record of it.

    `differs` names what was not as it was then (devices, versions); `first_step` is the first optimizer step
    whose loss is another, `tensors` are those that differ and how far, furthest first (absolute, as float64);
    None where the lake lacks the weights.
    """
    made = read(lake, "checkpoints", {"checkpoint_id": training["checkpoint_id"]}).row(0, named=True)
    now = training_row(job, training["round"], "finished", result).row(0, named=True)
    same = result.weights_hash == made["content_hash"]
    folder = checkpoint(lake, made).folder
    there = folder.is_dir() and not same
    return {
        "checkpoint_id": training["checkpoint_id"],
        "training_id": training["training_id"],
        "same": same,
        "recorded": made["content_hash"],
        "replayed": result.weights_hash,
        "steps": result.steps,
        "seconds": result.seconds,
        "recorded_seconds": training["seconds"],
        "differs": list(_differing(training, now)),
        "first_step": _first_step(lake, training, result),
        "tensors": differences(folder, result.checkpoint) if there else ([] if same else None),
    }


def _differing(then: Fact, now: Fact) -> Iterator[Fact]:
    """What of the machine and its libraries is another."""
    was, is_now = (json.loads(row["versions"] or "{}") for row in (then, now))
    pairs = [(name, was.get(name), is_now.get(name)) for name in sorted({*was, *is_now})]
    for name, old, new in [("devices", then["devices"], now["devices"]), *pairs]:
        if old != new:
            yield {"what": name, "then": old, "now": new}


def _first_step(lake: Lake, training: Fact, result: TrainingResult) -> int | None:
    """The first optimizer step whose loss is not that on record, to the bit; None where all are."""
    where = {"loop": training["loop"], "round": training["round"], "training_id": training["training_id"]}
    then = read(lake, "steps", where).select("step", "loss")
    now = pl.read_parquet(result.ledger, glob=False).select("step", loss_now="loss")
    both = then.join(now, on="step", how="full", coalesce=True)
    other = both.filter(~pl.col("loss").eq_missing(pl.col("loss_now")))["step"].min()
    return int(other) if isinstance(other, int) else None


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to train in."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="ratchet-replay-") as folder:
        yield Path(folder)
