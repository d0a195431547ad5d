"""The optimizer's state that one training leaves for the next: its moments go on where policies change
little.

A safetensors file beside the checkpoint: each trained parameter's moments and count of steps, by the
parameter's name. It is part of the work: a training that goes on from one names its SHA-256, and refuses
another file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save

from schemas.errors import TrainingFailed
from schemas.job import TrainingJob
from tasks.train.optimizer import SHARDED
from warehouse.store.durable import replace, sha256

OPTIMIZER = "optimizer.safetensors"
SEPARATOR = "/"  # in no parameter's name


def check_carrying(job: TrainingJob, accelerator: Accelerator) -> None:
    """TrainingFailed where a job keeps or takes an optimizer's state that has no such form."""
    hyper = job.hyperparameters
    if not hyper.keep_optimizer and job.optimizer_state is None:
        return
    if hyper.lora is not None:
        raise TrainingFailed("keep_optimizer: adapters begin anew in each training, their moments go nowhere")
    if hyper.optimizer != "adamw":
        raise TrainingFailed(f"keep_optimizer: moments of optimizer {hyper.optimizer} are not carried over")
    if accelerator.distributed_type in SHARDED:
        kind = accelerator.distributed_type.value
        raise TrainingFailed(f"keep_optimizer: {kind} shards the moments, which are not carried over")


def take_up(job: TrainingJob, model: Any, optimizer: Any) -> None:
    """Put the state that the job goes on from, if it names one, into the prepared optimizer.

    TrainingFailed where its file is not the one that was named, or not of this model.
    """
    if job.optimizer_state is None:
        return
    file = Path(job.optimizer_state)
    if not file.is_file() or sha256(file) != job.optimizer_hash:
        raise TrainingFailed(f"{file} is not the optimizer's state that {job.optimizer_from} left")
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(file).items():
        name, _, kind = key.rpartition(SEPARATOR)
        state.setdefault(name, {})[kind] = tensor
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    shapes = {name: tuple(kinds["exp_avg"].shape) for name, kinds in state.items()}
    if not shapes.items() <= {name: tuple(one.shape) for name, one in trained.items()}.items():
        raise TrainingFailed(f"{file} is the state of another model than {job.base}")
    for name, kinds in state.items():  # a parameter that had no gradient yet has none, and begins here
        device = trained[name].device
        optimizer.state[trained[name]] = {
            kind: tensor.to(device, copy=True) for kind, tensor in kinds.items()
        }


def leave(job: TrainingJob, model: Any, optimizer: Any) -> None:
    """Write the optimizer's state beside the checkpoint, where the job asks for it; the first process calls
    it.
    """
    if not job.hyperparameters.keep_optimizer:
        return
    tensors = {
        f"{name}{SEPARATOR}{kind}": value.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        for kind, value in sorted(optimizer.state[parameter].items())
    }
    replace(Path(job.output) / OPTIMIZER, save(tensors))
