"""An optimizer's state goes from one training to the next to the bit, or is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from schemas.errors import TrainingFailed
from schemas.job import Lora, TrainingJob
from tasks.train.carried import OPTIMIZER
from tasks.train.loop import train
from tests.train.conftest import told
from warehouse.store.durable import sha256

MakeJob = Callable[..., TrainingJob]
HOW: dict[str, Any] = {"epochs": 1, "batch_size": 22, "schedule": "constant", "warmup_ratio": 0.0}


def after(job: TrainingJob, before: Path) -> TrainingJob:
    """A job that goes on from another's checkpoint and optimizer."""
    file = before / OPTIMIZER
    named = {"optimizer_from": "train-before", "optimizer_state": str(file), "optimizer_hash": sha256(file)}
    return job.model_copy(update={"base": str(before / "checkpoint"), **named})


def test_two_trainings_with_one_optimizer_are_one_training(make_job: MakeJob) -> None:
    """Whole batches: an epoch's order changes the last bits of a sum at most."""
    whole = train(make_job("whole", **HOW | {"epochs": 2}))
    first = train(make_job("first", keep_optimizer=True, **HOW))
    second = train(after(make_job("second", **HOW), Path(first.output)))
    anew = train(make_job("anew", **HOW).model_copy(update={"base": str(first.checkpoint)}))
    expected, carried, fresh = (
        load_file(one.checkpoint / "model.safetensors") for one in (whole, second, anew)
    )
    apart = [
        max((expected[key] - one[key]).abs().max().item() for key in expected) for one in (carried, fresh)
    ]
    assert apart[0] < 1e-5
    assert apart[1] > 1e-3
    assert not (Path(second.output) / OPTIMIZER).exists()


def test_a_killed_training_that_goes_on_from_another_resumes_to_the_same_bit(
    make_job: MakeJob, in_another_process: Callable[..., int]
) -> None:
    hyper = HOW | {"batch_size": 4, "save_every": 2, "keep_optimizer": True}
    first = Path(train(make_job("first", **hyper)).output)
    undisturbed = train(after(make_job("whole", **hyper), first))
    job = after(make_job("killed", **hyper), first)
    assert in_another_process(job, "train: step done#1") == -9
    assert in_another_process(job, "train: step done#3") == -9
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))
    states = [sha256(Path(one.output) / OPTIMIZER) for one in (resumed, undisturbed)]
    assert states[0] == states[1] != sha256(first / OPTIMIZER)


def test_another_state_than_the_one_named_is_refused(make_job: MakeJob) -> None:
    first = Path(train(make_job("first", keep_optimizer=True, **HOW)).output)
    job = after(make_job("second", **HOW), first)
    file = first / OPTIMIZER
    state = load_file(file)
    save_file({key.replace("model.norm", "model.other"): one for key, one in state.items()}, file)
    with pytest.raises(TrainingFailed, match="is not the optimizer's state that train-before left"):
        train(job)
    with pytest.raises(TrainingFailed, match="is the state of another model"):
        train(job.model_copy(update={"optimizer_hash": sha256(file)}))
    file.unlink()
    with pytest.raises(TrainingFailed, match="is not the optimizer's state"):
        train(job)


def test_a_parameter_that_never_had_a_gradient_begins_in_the_next_training(make_job: MakeJob) -> None:
    first = Path(train(make_job("first", keep_optimizer=True, **HOW)).output)
    file = first / OPTIMIZER
    state = load_file(file)
    save_file({key: one for key, one in state.items() if not key.startswith("model.norm")}, file)
    second = train(after(make_job("second", keep_optimizer=True, **HOW), first))
    steps = {
        key: one.item() for key, one in load_file(Path(second.output) / OPTIMIZER).items() if "step" in key
    }
    assert steps.pop("model.norm.weight/step") == 1
    assert set(steps.values()) == {2}


def test_moments_that_have_no_such_form_are_refused_in_one_line(make_job: MakeJob) -> None:
    with pytest.raises(TrainingFailed, match="adapters begin anew"):
        train(make_job("lora", keep_optimizer=True, lora=Lora(rank=2), **HOW))
    with pytest.raises(TrainingFailed, match="adamw-8bit are not carried over"):
        train(make_job("eight", keep_optimizer=True, optimizer="adamw-8bit", **HOW))
