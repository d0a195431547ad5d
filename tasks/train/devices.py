"""The user's own Accelerate configuration: found, launched as it is, and refused where it has no effect.

Covered: one machine, any number of processes, on GPUs or on CPUs, FSDP and DeepSpeed among them. On CPUs
Accelerate itself starts several processes by MPI alone and forgets to tell them that they are on CPUs;
torchrun and an environment variable do both here. What Accelerate would pass over in silence (FSDP where
there is no GPU, processes that do not find each other) is refused. Not covered: several machines.

DeepSpeed is told what the job says: batch size, clipping, and that this loop itself counts the micro-batches
of a step. Its engine steps inside a step's last backward pass, before this loop has seen whether the loss
is finite; the job fails all the same, before anything of it is saved.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator
from accelerate.commands.config.config_args import default_config_file
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch import distributed
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from schemas.errors import BadInput, TrainingFailed
from schemas.job import Hyperparameters

ONE_MACHINE = "a training job runs on one machine"


@dataclass(frozen=True)
class Launch:
    """What `accelerate launch` is given before the program: arguments, and variables of its environment."""

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def launch_of(config: str | None) -> Launch:
    """How a job starts under a configuration file, by default the one that `accelerate config` wrote.

    BadInput where the file is missing, is no configuration, or asks for what a job cannot do.
    """
    path = Path(config or default_config_file)
    if config is None and not path.is_file():
        return Launch()
    settings = _settings(path)
    _refuse(path, settings)
    arguments = ["--config_file", str(path.resolve())]
    processes = int(settings.get("num_processes") or 1)
    if processes > 1 and not settings.get("main_process_port"):
        arguments += ["--main_process_port", "0"]  # a free one, so that two jobs do not meet at one port
    on_cpu = bool(settings.get("use_cpu")) or settings.get("distributed_type") == "MULTI_CPU"
    if on_cpu and processes > 1 and not settings.get("mpirun_config"):
        arguments.append("--multi_gpu")  # what Accelerate calls starting them by torchrun
    return Launch(tuple(arguments), {"ACCELERATE_USE_CPU": "true"} if on_cpu else {})


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text("utf-8"))  # JSON is YAML too
    except OSError as error:
        raise BadInput(f"Accelerate configuration {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} does not parse: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict) or "distributed_type" not in settings:
        raise BadInput(f"{path} is no Accelerate configuration: `accelerate config` writes one")
    return settings


def _refuse(path: Path, settings: dict[str, Any]) -> None:
    kind, processes = settings["distributed_type"], settings.get("num_processes") or 1
    if settings.get("compute_environment", "LOCAL_MACHINE") != "LOCAL_MACHINE":
        raise BadInput(f"{path} is for {settings['compute_environment']}: {ONE_MACHINE}")
    if settings.get("num_machines") not in (None, 0, 1):
        raise BadInput(f"{path} asks for {settings['num_machines']} machines: {ONE_MACHINE}")
    if not isinstance(processes, int) or processes < 1:
        raise BadInput(f"{path}: num_processes is {processes!r}; give a number above 0")
    if kind == "MEGATRON_LM":
        raise BadInput(f"{path} asks for {kind}, which this training loop does not do: use FSDP or DEEPSPEED")
    if kind in ("FSDP", "DEEPSPEED") and settings.get("use_cpu"):
        raise BadInput(f"{path} asks for {kind} on CPUs, where Accelerate does not shard: use MULTI_CPU")
    if kind == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        raise BadInput(f"{path} asks for {kind}: pip install --no-build-isolation deepspeed")


def accelerator_of(hyper: Hyperparameters) -> Accelerator:
    """The devices of this process's job, from its environment; TrainingFailed if they are not those that the
    configuration asks for.
    """
    if not distributed.is_initialized():
        # Accelerate keeps its first settings for the whole process; each job here has its own.
        AcceleratorState._reset_state(reset_partial_state=True)
    # None leaves the precision to the user's Accelerate configuration, which says "no" by default.
    accelerator = Accelerator(mixed_precision="bf16" if hyper.precision == "bf16" else None)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != processes:
        raise TrainingFailed(
            f"the Accelerate configuration asks for {processes} processes, which did not find each other: "
            "without GPUs say distributed_type MULTI_CPU and use_cpu true"
        )
    for kind in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        sharded = os.environ.get(f"ACCELERATE_USE_{kind.value}") == "true"
        if sharded and accelerator.distributed_type != kind:
            raise TrainingFailed(
                f"the Accelerate configuration asks for {kind.value}, but Accelerate shards on several GPUs "
                f"alone: this is {accelerator.distributed_type.value}"
            )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        tell_deepspeed(accelerator.state.deepspeed_plugin.deepspeed_config, hyper, processes)
        # Else each model loaded from here on would be cut up as it is loaded, the merged one as well.
        unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    return accelerator


def tell_deepspeed(config: dict[str, Any], hyper: Hyperparameters, processes: int) -> None:
    """Put the job's own values into a DeepSpeed configuration; its other values stay.

    TrainingFailed where it names an optimizer or a schedule, which are the job's, or asks for steps whose
    gradient this loop could not see.
    """
    stage = config.get("zero_optimization", {}).get("stage", 0)
    if stage == 0:
        raise TrainingFailed("the DeepSpeed configuration shards nothing (ZeRO stage 0): use MULTI_GPU")
    if config.get("fp16", {}).get("enabled") is True:
        raise TrainingFailed("the DeepSpeed configuration asks for fp16, which skips steps: use bf16")
    for own in ("optimizer", "scheduler"):
        if own in config:
            raise TrainingFailed(
                f"the DeepSpeed configuration names its own {own}: leave it out, the job has one"
            )
    config.pop("train_batch_size", None)
    config["train_micro_batch_size_per_gpu"] = hyper.micro_batch_size or -(-hyper.batch_size // processes)
    config["gradient_accumulation_steps"] = (
        1  # this loop scales the loss and says which backward pass is the last
    )
    config["gradient_clipping"] = hyper.max_grad_norm
    config.setdefault("zero_optimization", {})["stage3_gather_16bit_weights_on_model_save"] = True
