"""A training's progress in Prefect's UI: one artifact, brought up to date while the job runs.

A round does not fail, and is not held up, for want of it: a server that refuses is not asked again.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from tasks.train.result import OptimizerStep


class TrainingProgress:
    """The artifact of one training; nothing outside a flow run, whose page would show it."""

    EVERY = 5.0  # seconds between two updates

    def __init__(self, training_id: str) -> None:
        self._training = training_id
        self._artifact: UUID | None = None
        self._due = 0.0
        self._silent = flow_run.get_id() is None

    def show(self, step: OptimizerStep) -> None:
        """The step just taken, unless the last one shown was a moment ago; the last step is always shown."""
        if self._silent or (step.step < step.steps and time.monotonic() < self._due):
            return
        try:
            self._send(100 * step.step / step.steps, _line(step))
        except Exception as error:
            self._silent = True
            logging.getLogger("ratchet").warning("no progress of %s: %s", self._training, error)
        self._due = time.monotonic() + self.EVERY

    def _send(self, percent: float, description: str) -> None:
        if self._artifact is None:
            artifact: Any = create_progress_artifact(percent, key=self._training, description=description)
            self._artifact = artifact
        else:
            update_progress_artifact(self._artifact, progress=percent, description=description)


def _line(step: OptimizerStep) -> str:
    memory = step.peak_memory_bytes / 2**30
    return (
        f"step {step.step} of {step.steps}: loss {step.loss:.4f}, "
        f"{step.tokens_per_second:,.0f} tokens/s, peak memory {memory:.2f} GiB"
    )
