"""The same job in a process of its own: `accelerate launch -m tasks.train.launch JOB.json`.

The user's Accelerate configuration (devices, FSDP) is taken as it is (`devices.py`), and a copy is kept
beside the result. The training processes write one JSON object a line to their standard output; whatever
else they or a library print goes to `train.log`. Each holds its parent's end of a pipe as standard input
and ends when that closes, so a killed parent leaves no training behind.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from schemas import errors
from schemas.errors import BadInput, RatchetError, TrainingFailed
from schemas.job import TrainingJob
from tasks.train.devices import Launch, launch_of
from tasks.train.loop import train
from tasks.train.result import PLACES, OptimizerStep, Progress, TrainingResult, read_result
from warehouse.store.durable import replace

NAME = "tasks.train.launch"  # run as a program, __name__ is "__main__"
LOG = "train.log"
JOB = "job.json"
PATHS = sorted(PLACES)
CONFIG = "accelerate"  # with the ending of the user's file
SUPERVISED = "--supervised"
RANK = re.compile(r"^\[rank\d+\]: ")  # what torchrun puts before a process's lines


def run_job(job: TrainingJob, *, in_process: bool, progress: Progress | None = None) -> TrainingResult:
    """Train here, or by `accelerate launch` in a process of its own; the weights are the same.

    Errors are those of `tasks.train.loop.train`, also from the other process; a training process that
    died without a word is a TrainingFailed that names its log.
    """
    return train(job, progress) if in_process else _launched(job, progress)


def _launched(job: TrainingJob, progress: Progress | None) -> TrainingResult:
    output = Path(job.output)
    if earlier := read_result(job):
        return earlier
    launch = launch_of(job.accelerate_config)
    output.mkdir(parents=True, exist_ok=True)
    replace(output / JOB, beside(job, output).model_dump_json(indent=2).encode())
    if config := job.accelerate_config:
        replace((output / CONFIG).with_suffix(Path(config).suffix), Path(config).read_bytes())
    with (output / LOG).open("wb") as log, _training_process(launch, output / JOB, log) as process:
        failure = _relay(process, log, progress)
        process.wait()
    if failure:
        raise failure
    if process.returncode or not (result := read_result(job)):
        raise TrainingFailed(f"{job.training_id}: {_last_words(output / LOG)}; see {output / LOG}")
    return result


def kept_configuration(output: Path, named: str) -> Path | None:
    """The copy of an Accelerate configuration that a job kept beside its result; None: it had no such."""
    copy, job = (output / CONFIG).with_suffix(Path(named).suffix), output / JOB
    if not (copy.is_file() and job.is_file()):
        return None
    told = _read_job(job).accelerate_config
    return copy if told == str(Path(named).resolve()) else None


def beside(job: TrainingJob, folder: Path) -> TrainingJob:
    """The job as its file in `folder` has it: what lies in the same lake by its way from there, so that a
    lake can be moved; what lies elsewhere by its absolute path.
    """
    here = folder.resolve()
    lake, update = here.parent.parent, {}
    for name in PATHS:
        if path := getattr(job, name):
            own = Path(path).resolve()
            update[name] = os.path.relpath(own, here) if own.is_relative_to(lake) else str(own)
    return job.model_copy(update=update)


def placed(job: TrainingJob, folder: Path) -> TrainingJob:
    """A job that was read from a folder, with its relative paths taken from there."""
    told = {name: getattr(job, name) for name in PATHS}
    return job.model_copy(
        update={name: str((folder / path).resolve()) for name, path in told.items() if path}
    )


@contextmanager
def _training_process(launch: Launch, job: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A running `accelerate launch`, in a process group of its own, which is gone on leaving."""
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", *launch.arguments]
    command = [*accelerate, "-m", NAME, str(job), SUPERVISED]
    process = subprocess.Popen(  # noqa: S603 (our own interpreter, no shell)
        command,
        env=os.environ | launch.environment | {"PYTHONPATH": _import_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _import_path() -> str:
    house = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [house, os.environ.get("PYTHONPATH")]))


def _relay(
    process: subprocess.Popen[bytes], log: IO[bytes], progress: Progress | None
) -> RatchetError | None:
    """Pass progress on until the process closes its output; the error it reported, if any."""
    assert process.stdout is not None
    # polars has Ctrl-C wait for what is being read: for a whole step
    signal.siginterrupt(signal.SIGINT, True)
    failure: RatchetError | None = None
    for line in process.stdout:
        message = _message(line)
        if "error" in message:
            kind = getattr(errors, str(message["error"]), TrainingFailed)
            failure = failure or kind(message["message"])
        elif "step" in message:
            if progress:
                progress(OptimizerStep(**{name: message[name] for name in OptimizerStep.__slots__}))
        else:
            log.write(line)
            log.flush()
    return failure


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    ours = isinstance(message, dict) and message.get("from") == NAME
    return message if ours else {}


def _last_words(log: Path) -> str:
    """Why a process died that could not say so itself, from the end of its log."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it left no message"
    if any("SIGKILL" in line for line in lines):
        return "a training process was killed (SIGKILL), often for want of memory"
    launchers = ("CalledProcessError", "ChildFailedError")  # say only that a process failed
    own = [line for line in lines if "Error" in line and not any(name in line for name in launchers)]
    return f"the training process failed: {RANK.sub('', (own or [last])[-1]).strip()}"


def main(arguments: list[str]) -> int:
    """The training process: 0 when the job's result is written, else the error's exit code."""
    if SUPERVISED in arguments:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train(_read_job(Path(arguments[0])), _say_progress)
    except RatchetError as error:
        _say({"error": type(error).__name__, "message": str(error)})
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _read_job(path: Path) -> TrainingJob:
    try:
        job = TrainingJob.model_validate_json(path.read_text("utf-8"))
        return placed(job, path.resolve().parent)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise BadInput(f"{path} is not a training job: {' '.join(str(error).split())}") from None


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _say_progress(step: OptimizerStep) -> None:
    _say(asdict(step))


def _say(message: dict[str, Any]) -> None:
    # One write a line: other processes of the job may speak at the same time.
    sys.stdout.write(json.dumps({"from": NAME, **message}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
