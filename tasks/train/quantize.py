"""A base held in four bits while adapters are trained on it (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

bitsandbytes does it, on GPUs and, slowly, on CPUs; it is an extra that is installed apart.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from peft import prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from schemas.errors import BadInput, TrainingFailed, first_line
from schemas.job import Hyperparameters
from tasks.models.checkpoint import check_folder
from tasks.models.remote_code import CODE_ERRORS, check_loaded, may_run


def need_bitsandbytes(setting: str) -> None:
    """BadInput where the package that a setting needs is missing."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(f"{setting} needs the package bitsandbytes: pip install 'ratchet[qlora]'")


def in_four_bits(folder: Path, hyper: Hyperparameters, accelerator: Accelerator) -> Any:
    """The base on this process's device: its linear layers in NF4, their scales in eight bits, all else in
    fp32; none of it is trained. BadInput where bitsandbytes is missing.
    """
    check_folder(folder)
    need_bitsandbytes("training.lora.quantize nf4")
    if accelerator.distributed_type == DistributedType.FSDP:
        raise TrainingFailed("lora.quantize nf4 is not sharded by FSDP: leave out one of the two")
    form = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if hyper.precision == "bf16" else torch.float32,
    )
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            quantization_config=form,
            device_map={"": accelerator.device},
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=may_run(folder),
        )
    except (OSError, ValueError, *CODE_ERRORS) as error:
        why = first_line(error)
        raise TrainingFailed(f"{folder} could not be held in four bits: {why}") from None
    check_loaded(model, folder)
    ready: Any = prepare_model_for_kbit_training
    return ready(model, use_gradient_checkpointing=False)  # gradient checkpointing is the caller's
