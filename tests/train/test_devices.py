"""Several processes by the user's own Accelerate configuration: the same ledger and weights, no silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from schemas.errors import BadInput, TrainingFailed
from schemas.job import Hyperparameters, TrainingJob
from tasks.models.checkpoint import load_model
from tasks.train.devices import launch_of, tell_deepspeed
from tasks.train.launch import kept_configuration, run_job
from tasks.train.result import TrainingResult
from tests.train.conftest import at_start

MakeJob = Callable[..., TrainingJob]

# What `accelerate config` writes for two processes on one machine's CPUs, without MPI.
TWO_CPUS: dict[str, Any] = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_CPU",
    "machine_rank": 0,
    "mixed_precision": "no",
    "num_machines": 1,
    "num_processes": 2,
    "use_cpu": True,
}
# Accelerate shards on GPUs alone. Here its two processes on CPUs are called GPUs; all else is real.
AS_GPUS = """
import os
if "LOCAL_RANK" in os.environ:
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    import accelerate.state as state
    from accelerate.utils import DistributedType
    state.PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
"""
KILLED = """
import os
if os.environ.get("RANK") == "1":
    os.environ["RATCHET_FAULT"] = "train: step done#5"
"""


def config(folder: Path, **changes: Any) -> str:
    path = folder / "accelerate.yaml"
    path.write_text(yaml.safe_dump(TWO_CPUS | changes))
    return str(path)


def assert_same_training(
    one: TrainingResult, two: TrainingResult, examples: pl.DataFrame, near: float = 1e-4
) -> None:
    ledgers = [pl.read_parquet(result.ledger) for result in (one, two)]
    for exact in ("step", "epoch", "example_ids", "learning_rate", "tokens"):
        assert ledgers[0][exact].equals(ledgers[1][exact]), exact
    for measured in ("loss", "grad_norm"):
        assert ledgers[0][measured].to_list() == pytest.approx(ledgers[1][measured].to_list(), rel=near)
    for epoch in ledgers[1].partition_by("epoch"):
        assert sorted(epoch.explode("example_ids")["example_ids"]) == sorted(examples["example_id"])
    before, after = (load_model(result.checkpoint).state_dict() for result in (one, two))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-3, atol=near, msg=name)
    assert (one.devices, two.devices) == (1, 2)


def killed_and_resumed(
    job: TrainingJob, folder: Path, at_first: str, monkeypatch: pytest.MonkeyPatch
) -> TrainingResult:
    """One of its processes is killed after its fifth step, one after a save, and it is run again."""
    with monkeypatch.context() as killed:
        at_start(folder / "killed", at_first + KILLED, killed)
        with pytest.raises(TrainingFailed, match=r"killed \(SIGKILL\).*train\.log"):
            run_job(job, in_process=False)
    assert not Path(job.output, "checkpoint").exists()
    at_start(folder / "site", at_first, monkeypatch)
    seen: list[int] = []
    result = run_job(job, in_process=False, progress=lambda taken: seen.append(taken.step))
    assert seen == [5, 6], "each step is told once, after the save"
    return result


def test_two_processes_keep_one_ledger_over_a_kill_and_the_users_configuration(
    make_job: MakeJob, examples: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run_job(make_job("one", micro_batch_size=3), in_process=True)
    job = make_job("two", micro_batch_size=3, save_every=2)
    job = job.model_copy(update={"accelerate_config": config(tmp_path)})
    two = killed_and_resumed(job, tmp_path, "", monkeypatch)
    assert_same_training(one, two, examples)
    copy = yaml.safe_load(Path(job.output, "accelerate.yaml").read_text())
    assert copy == TWO_CPUS
    output, named = Path(job.output), str(job.accelerate_config)
    assert kept_configuration(output, named) == output / "accelerate.yaml", "for when the file is gone"
    assert kept_configuration(output, str(tmp_path / "other.yaml")) is None


def test_sharded_training_loses_a_process_resumes_and_gathers_its_weights_whole(
    make_job: MakeJob, examples: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run_job(make_job("one"), in_process=True)
    sharded = {
        "fsdp_version": 2,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_reshard_after_forward": True,
        "fsdp_state_dict_type": "FULL_STATE_DICT",
    }
    file = config(tmp_path, distributed_type="FSDP", use_cpu=False, fsdp_config=sharded)
    job = make_job("two", save_every=2).model_copy(update={"accelerate_config": file})
    two = killed_and_resumed(job, tmp_path, AS_GPUS, monkeypatch)
    assert_same_training(one, two, examples)


@pytest.mark.parametrize(
    ("stage", "objective"), [(2, "sft"), (3, "sft"), (3, "dpo")], ids=["ZeRO-2", "ZeRO-3", "ZeRO-3-LoRA"]
)
def test_deepspeed_takes_the_jobs_values_and_resumes(
    make_job: MakeJob,
    examples: pl.DataFrame,
    pairs: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: int,
    objective: str,
) -> None:
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed here")
    rows = examples if objective == "sft" else pairs
    values: dict[str, Any] = {"rows": rows, "objective": objective, "micro_batch_size": 3}
    values |= {"weight_decay": 10.0} if objective == "sft" else {"lora": {"rank": 4}}
    one = run_job(make_job("one", **values), in_process=True)
    settings = {"zero_stage": stage, "gradient_accumulation_steps": 4, "zero3_init_flag": True}
    file = config(tmp_path, distributed_type="DEEPSPEED", use_cpu=False, deepspeed_config=settings)
    job = make_job("two", save_every=2, **values).model_copy(update={"accelerate_config": file})
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    two = killed_and_resumed(job, tmp_path, AS_GPUS, monkeypatch)
    # Adam's first steps on adapters, which begin at zero, are of the sign of noise alone.
    assert_same_training(one, two, rows, near=1e-4 if objective == "sft" else 1e-2)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"optimizer": {}, "zero_optimization": {"stage": 2}}, "names its own optimizer"),
        ({"zero_optimization": {"stage": 0}}, "shards nothing"),
        ({"fp16": {"enabled": True}, "zero_optimization": {"stage": 2}}, "asks for fp16"),
    ],
)
def test_what_deepspeed_must_not_be_told_is_refused(told: dict[str, Any], line: str) -> None:
    with pytest.raises(TrainingFailed, match=line):
        tell_deepspeed(told, Hyperparameters(), 2)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"distributed_type": "MEGATRON_LM"}, "asks for MEGATRON_LM, which this training loop does not do"),
        ({"distributed_type": "DEEPSPEED"}, "asks for DEEPSPEED on CPUs"),
        ({"num_machines": 2}, "asks for 2 machines"),
        ({"num_processes": -1}, "num_processes is -1"),
        ({"distributed_type": "FSDP"}, "asks for FSDP on CPUs"),
        ({"compute_environment": "AMAZON_SAGEMAKER"}, "is for AMAZON_SAGEMAKER"),
    ],
)
def test_a_configuration_that_a_job_cannot_follow_is_refused_before_anything_is_written(
    make_job: MakeJob, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    job = make_job().model_copy(update={"accelerate_config": config(tmp_path, **changes)})
    with pytest.raises(BadInput, match=line) as refused:
        run_job(job, in_process=False)
    assert "\n" not in str(refused.value)
    assert not Path(job.output).exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "does not parse"),
        ("learning_rate: 3", "is no Accelerate configuration"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str | None, line: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInput, match=rf"mine\.yaml.*{line}"):
        launch_of(str(file))


def test_the_users_default_configuration_is_the_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.train.devices.default_config_file", str(tmp_path / "accelerate.yaml"))
    assert launch_of(None).arguments == ()
    file = config(tmp_path)
    assert launch_of(None) == launch_of(file)
    assert launch_of(None).arguments[:2] == ("--config_file", file)


def test_processes_that_do_not_find_each_other_do_not_train_side_by_side(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: processes find each other there")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingFailed, match="2 processes, which did not find each other"):
        run_job(make_job(), in_process=True)
