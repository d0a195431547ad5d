"""A process that launches a training and says which it is, to be ended beside it."""

from __future__ import annotations

import os
from pathlib import Path

from schemas.job import TrainingJob
from tasks.train.launch import run_job


def main(arguments: list[str]) -> None:
    """Launch the job of a file; this process's number goes into a file beside it."""
    path = Path(arguments[0])
    path.with_suffix(".pid").write_text(str(os.getpid()))
    run_job(TrainingJob.model_validate_json(path.read_text()), in_process=False)
