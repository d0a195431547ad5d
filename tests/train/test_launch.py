"""A job in a process of its own: the same weights, the same errors, and no orphan."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from schemas.errors import BadInput, TrainingFailed
from schemas.job import TrainingJob
from tasks.models.checkpoint import load_model
from tasks.train.launch import placed, run_job
from tasks.train.result import OptimizerStep, TrainingResult, accept
from tests.forked import Forks
from tests.train.conftest import told

MakeJob = Callable[..., TrainingJob]


def test_a_launched_job_that_was_killed_is_named_resumes_and_gives_the_weights_of_one_in_process(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[OptimizerStep]] = {"here": [], "there": []}
    here = run_job(make_job("here", save_every=2), in_process=True, progress=seen["here"].append)
    job = make_job("there", save_every=2)
    with monkeypatch.context() as killed:
        killed.setenv("RATCHET_FAULT", "train: step done#5")
        with pytest.raises(TrainingFailed, match=r"killed \(SIGKILL\).*train\.log"):
            run_job(job, in_process=False, progress=seen["there"].append)
    assert [taken.step for taken in seen["there"]] == [1, 2, 3, 4]
    there = run_job(job, in_process=False, progress=seen["there"].append)
    assert here.weights_hash == there.weights_hash
    assert here.threads == there.threads
    assert told(here).equals(told(there))
    assert [(taken.step, taken.steps) for taken in seen["there"]] == [(step, 6) for step in range(1, 7)]
    assert [taken.loss for taken in seen["here"]] == [taken.loss for taken in seen["there"]]
    written = TrainingJob.model_validate_json(Path(job.output, "job.json").read_text())
    assert not any(Path(path).is_absolute() for path in (written.snapshot, written.base, written.output))
    assert placed(written, Path(job.output)) == job
    assert all(taken.tokens_per_second > 0 and taken.peak_memory_bytes > 2**20 for taken in seen["there"])


def test_a_launched_job_fails_with_the_same_named_line(make_job: MakeJob) -> None:
    job = make_job().model_copy(update={"objective": "magic"})
    with pytest.raises(BadInput, match="magic") as here:
        run_job(job, in_process=True)
    with pytest.raises(BadInput) as there:
        run_job(job, in_process=False)
    assert str(here.value) == str(there.value)


def spoil_a_weight(result: TrainingResult) -> None:
    model: Any = load_model(result.checkpoint)
    model.model.norm.weight.data[0] += 1.0
    model.save_pretrained(result.checkpoint)


def cut_the_file(result: TrainingResult) -> None:
    weights = result.checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def lay_a_pickle_beside(result: TrainingResult) -> None:
    torch.save({"w": torch.zeros(1)}, result.checkpoint / "pytorch_model.bin")


def pickle_the_weights(result: TrainingResult) -> None:
    lay_a_pickle_beside(result)
    (result.checkpoint / "model.safetensors").unlink()


def bring_code(result: TrainingResult) -> None:
    config = result.checkpoint / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModel": "m.M"}}))


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (spoil_a_weight, "was changed after the training: its weights hash to"),
        (cut_the_file, "is not whole: .*not a readable safetensors file"),
        (lay_a_pickle_beside, r"pytorch_model\.bin is not what a training writes"),
        (pickle_the_weights, r"pytorch_model\.bin is not what a training writes"),
        (bring_code, "brings its own code"),
        (lambda result: shutil.rmtree(result.checkpoint), "is not whole: no model folder"),
    ],
    ids=["a weight", "a cut file", "a pickle beside", "a pickle instead", "code", "gone"],
)
def test_a_result_that_is_not_what_was_trained_is_not_accepted(
    make_job: MakeJob, harm: Callable[[TrainingResult], None], line: str
) -> None:
    result = run_job(make_job(epochs=1), in_process=True)
    accept(result)
    harm(result)
    with pytest.raises(TrainingFailed, match=line) as refused:
        accept(result)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_parent_that_ends_leaves_no_training_behind(
    make_job: MakeJob, forks: Forks, examples: pl.DataFrame, how: signal.Signals
) -> None:
    # One step of 5,500 micro-batches takes far longer than the waits below: nothing else ends it.
    rows = pl.concat([examples] * 250).with_columns(example_id=pl.int_range(pl.len()).cast(pl.String))
    job = make_job(rows=rows, batch_size=5_500, micro_batch_size=1)
    path = Path(job.output).with_suffix(".json")
    path.write_text(job.model_dump_json())
    with ThreadPoolExecutor(1) as beside:
        parent = beside.submit(forks.run, "tests.train.parent:main", [str(path)], os.environ)
        assert within(60, lambda: trains(job)), "the training never began"
        os.kill(int(path.with_suffix(".pid").read_text()), how)
        assert parent.result(timeout=10).returncode != 0, "it went on until the step was over"
    assert within(10, lambda: not trains(job)), "the training goes on without its parent"
    assert not Path(job.output, "result.json").exists()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def trains(job: TrainingJob) -> bool:
    """Whether the process that claimed the job's folder lives."""
    lock = Path(job.output, ".lock")
    if not lock.exists() or not (process := lock.read_text()):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    return True
