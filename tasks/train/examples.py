"""What a job is about to train on, looked at before it starts: whole rows, and none too long."""

from __future__ import annotations

import polars as pl

from schemas.errors import TrainingFailed
from schemas.job import TrainingJob
from tasks.train.objectives.objective import Encoded, Objective


def check(job: TrainingJob, objective: Objective, examples: pl.DataFrame) -> None:
    """TrainingFailed where a snapshot's rows are not what the objective is trained on."""
    needed, name = ["example_id", *objective.columns], f"snapshot {job.snapshot_id}"
    if missing := [column for column in needed if column not in examples.columns]:
        raise TrainingFailed(f"{name} has no column {', '.join(missing)}, which {objective.name} needs")
    if examples.is_empty():
        raise TrainingFailed(f"{name} is empty: there is nothing to train on")
    if holes := [c for c in needed if c not in objective.nullable and examples[c].has_nulls()]:
        raise TrainingFailed(f"{name} has nulls in {', '.join(holes)}")
    if examples["example_id"].is_duplicated().any():
        raise TrainingFailed(f"{name} holds an example_id twice")


def refuse_long(job: TrainingJob, ids: list[str], encoded: list[Encoded], context: int | None) -> None:
    """TrainingFailed where an example is longer than the job or the model takes; it is named."""
    most = job.hyperparameters.max_tokens
    limit, why = (context, "the model's context") if context and context < most else (most, "max_tokens")
    long = [row for row, example in enumerate(encoded) if example.length > limit]
    if long:
        worst = max(long, key=lambda row: encoded[row].length)
        raise TrainingFailed(
            f"{len(long)} of {len(ids)} examples are longer than {limit} tokens ({why}): the longest, "
            f"{ids[worst]}, has {encoded[worst].length}; nothing is cut silently"
        )


def refuse_unlearnable(job: TrainingJob, objective: Objective, encoded: list[Encoded]) -> None:
    """TrainingFailed where no example has a unit: a loss over nothing would teach nothing, and say 0."""
    if not any(example.units for example in encoded):
        raise TrainingFailed(
            f"none of the {len(encoded)} examples of snapshot {job.snapshot_id} has anything that "
            f"{objective.name} learns: there is nothing to learn"
        )
