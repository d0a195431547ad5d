"""What a training leaves behind: the names in its output folder, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import ModelError, TrainingFailed
from schemas.ids import digest
from schemas.job import Strict, TrainingJob
from tasks.models.checkpoint import weights_hash
from tasks.models.remote_code import is_trusted
from warehouse.models.code import code_files

PLACES = {"output", "snapshot", "base", "accelerate_config", "optimizer_state", "teacher"}
"""Fields of a job that say where something lies."""
RESULT = "result.json"
CHECKPOINT = "checkpoint"
ADAPTER = "adapter"
LEDGER = "steps.parquet"


UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".pyc")  # pickles and code


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """How far a training is: `step` of `steps` are done; tokens a second are those of the last few."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    peak_memory_bytes: int


Progress = Callable[[OptimizerStep], None]


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
    """A digest that two jobs share if they are the same work: it leaves out folders and devices."""
    return digest([job.model_dump_json(exclude=PLACES)])


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


def accept(result: TrainingResult) -> None:
    """Look at the result's files again, right before it goes on record.

    TrainingFailed unless `checkpoint/` holds safetensors that hash to what the training wrote, and
    nothing there or in `adapter/` is a pickle or code, but for a base's own that is trusted and hashed.
    """
    folders = [result.checkpoint, Path(result.output) / ADAPTER]
    own = code_files(result.checkpoint) if is_trusted() and result.checkpoint.is_dir() else []
    unsafe = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in UNSAFE and p not in own)
    if unsafe:
        raise TrainingFailed(f"{unsafe[0]} is not what a training writes (pickles and code are not taken)")
    try:
        digest = weights_hash(result.checkpoint)
    except ModelError as error:
        raise TrainingFailed(f"the result of {result.training_id} is not whole: {error}") from None
    if digest != result.weights_hash:
        raise TrainingFailed(
            f"{result.checkpoint} was changed after the training: its weights hash to {digest[:12]}..., "
            f"not {result.weights_hash[:12]}...; move {result.output} away to train again"
        )
