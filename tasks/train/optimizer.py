"""The optimizer of a job and its rate: AdamW, its moments in the weights' own type or in eight bits.

The latter are bitsandbytes': each block of 256 numbers has a scale of its own; tensors of fewer than 4,096
numbers stay as they are. It works on GPUs and on CPUs, and what is saved is resumed to the same bit.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from schemas.errors import TrainingFailed
from schemas.job import Hyperparameters
from tasks.train.quantize import need_bitsandbytes

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


def adamw(model: Any, hyper: Hyperparameters, accelerator: Accelerator) -> torch.optim.Optimizer:
    """AdamW over what is trainable; vectors (norms, biases) do not decay. BadInput where bitsandbytes is
    missing, TrainingFailed where moments in eight bits would be sharded.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": hyper.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if hyper.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=hyper.learning_rate, fused=True)
    need_bitsandbytes("training.optimizer adamw-8bit")
    if accelerator.distributed_type in SHARDED:
        kind = accelerator.distributed_type.value
        raise TrainingFailed(f"optimizer adamw-8bit is not sharded by {kind}: leave out one of the two")
    from bitsandbytes.optim import AdamW8bit

    optimizer: torch.optim.Optimizer = AdamW8bit(groups, lr=hyper.learning_rate, weight_decay=0.0)
    return optimizer


def learning_rate(step: int, steps: int, hyper: Hyperparameters) -> float:
    """The rate of a step (0-based): linear warm-up, then the schedule's way down; never zero."""
    warmup = math.ceil(hyper.warmup_ratio * steps)
    if step < warmup:
        return hyper.learning_rate * (step + 1) / warmup
    elapsed = (step - warmup) / max(1, steps - warmup)
    share = {"constant": 1.0, "linear": 1 - elapsed, "cosine": (1 + math.cos(math.pi * elapsed)) / 2}
    return hyper.learning_rate * share[hyper.schedule]
