"""What a training leaves behind: the names in its output folder, and its result."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from schemas.errors import TrainingFailed
from schemas.ids import digest
from schemas.job import Strict, TrainingJob

RESULT = "result.json"
CHECKPOINT = "checkpoint"
LEDGER = "steps.parquet"


class TrainingResult(Strict):
    """A finished training, as `result.json` in the job's output folder holds it.

    `weights_hash` is of `checkpoint/`; `tokens` are those of all steps, prompts included and padding
    not; `seconds` is the time in steps, over all attempts; `peak_memory_bytes` is of one device's
    allocations, or of the whole process on a CPU.
    """

    training_id: str
    job_digest: str
    output: str
    weights_hash: str
    objective: str
    seed: int
    examples: int
    steps: int
    tokens: int
    final_loss: float
    seconds: float
    tokens_per_second: float
    peak_memory_bytes: int
    device: str
    devices: int
    threads: int
    precision: str
    versions: dict[str, str]

    @property
    def checkpoint(self) -> Path:
        """The Hugging Face folder with the trained weights."""
        return Path(self.output) / CHECKPOINT

    @property
    def ledger(self) -> Path:
        """Parquet, one row an optimizer step: step, epoch, example_ids, loss, learning_rate …"""
        return Path(self.output) / LEDGER


def job_digest(job: TrainingJob) -> str:
    """What makes two jobs the same work: everything but where their folders lie."""
    return digest([job.model_dump_json(exclude={"output", "snapshot", "base"})])


def read_result(job: TrainingJob) -> TrainingResult | None:
    """The job's result if it is finished; TrainingFailed where the folder holds another job's."""
    path = Path(job.output) / RESULT
    if not path.exists():
        return None
    try:
        result = TrainingResult.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError):
        raise TrainingFailed(f"{path} is not a training's result: move the folder away") from None
    if result.job_digest != job_digest(job):
        raise TrainingFailed(f"{path} belongs to another job: give {job.training_id} its own folder")
    return result.model_copy(update={"output": job.output})
