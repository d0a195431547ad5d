"""Weights in and out of a training: the base made trainable, the result written as a model folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GenerationConfig

from schemas.errors import TrainingFailed
from schemas.job import Lora, TrainingJob
from tasks.models.checkpoint import load_model, weights_hash
from tasks.models.ends import settle_ends
from tasks.models.heads import Head, head_name, load_scalar
from tasks.train.packing import keep_apart
from tasks.train.quantize import in_four_bits
from tasks.train.result import ADAPTER, CHECKPOINT
from tasks.train.saves import sync_tree
from warehouse.models.code import code_files
from warehouse.models.described import DECIDING

# What a model needs besides its config and weights, and the terms it comes under. Nothing else of a
# base's folder (model cards, records of its own training) is true of the result.
KEPT = (*(name for name in DECIDING if name != "config.json"), "LICENSE*", "NOTICE*")


def trainable(job: TrainingJob, accelerator: Accelerator, head: Head = "lm") -> Any:
    """The base in training mode, with fresh adapters where the job asks for them; in fp32, unless the job
    holds the base in four bits under its adapters.

    A scalar head that the base lacks is drawn by the job's seed. TrainingFailed where it would be quantised.
    """
    hyper = job.hyperparameters
    quantized = hyper.lora is not None and hyper.lora.quantize is not None
    if quantized and head != "lm":
        raise TrainingFailed(f"lora.quantize nf4 has no form with a scalar head, which {job.objective} needs")
    folder = Path(job.base)
    model: Any = in_four_bits(folder, hyper, accelerator) if quantized else _base(job, head)
    if hyper.packing == "padding-free":
        keep_apart(model)
    if hyper.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    own_layer = head_name(model, folder) if head != "lm" else None
    trained: Any = get_peft_model(model, lora_config(hyper.lora, own_layer)) if hyper.lora else model
    for parameter in () if quantized else trained.parameters():
        # Weights mapped from a file lie where the file has them; the last bit of a product can
        # depend on that. PyTorch's own memory is always aligned alike.
        parameter.data = parameter.data.clone()
    trained.train()
    return trained


def _base(job: TrainingJob, head: Head) -> Any:
    folder = Path(job.base)
    return load_model(folder) if head == "lm" else load_scalar(folder, head, job.seed)


def lora_config(lora: Lora, head: str | None = None) -> LoraConfig:
    """The adapters of a job as PEFT has them; a scalar head, by name, is trained whole beside them."""
    targets = lora.target_modules
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=lora.dora,
        task_type="CAUSAL_LM" if head is None else None,
        modules_to_save=None if head is None else [head],
        exclude_modules=None if head is None else head,
    )


def context_of(model: Any) -> int | None:
    """The longest sequence the model was made for, in tokens; None where its config does not say."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if limit else None


def write_checkpoint(
    job: TrainingJob, accelerator: Accelerator, prepared: Any, head: Head = "lm"
) -> str | None:
    """Write `checkpoint/` (and `adapter/`); the weights' hash, or None on other than the first process.

    Both folders are written under another name, synced, then renamed. Adapters are merged into a fresh
    base from what `adapter/` holds, so that the two folders cannot disagree.
    """
    output, state = Path(job.output), accelerator.get_state_dict(prepared)
    if not accelerator.is_main_process:
        return None
    model: Any = accelerator.unwrap_model(prepared)
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise TrainingFailed(f"{job.training_id} ended with weights that are not finite: lower learning_rate")
    if job.hyperparameters.lora:
        adapter = _fresh(output / ADAPTER)
        model.save_pretrained(adapter, state_dict=state, save_embedding_layers=False)
        _publish(adapter, output / ADAPTER)
        merged: Any = PeftModel.from_pretrained(_base(job, head), output / ADAPTER)
        model = merged.merge_and_unload()
        state = model.state_dict()
    checkpoint = _fresh(output / CHECKPOINT)
    # The base's own file is kept instead; a doubtful setting in it must not stop a finished training.
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    model.save_pretrained(checkpoint, state_dict=state)
    keep_rest(Path(job.base), checkpoint)
    settle_ends(Path(job.base), checkpoint, job.chat)
    digest = weights_hash(checkpoint)
    _publish(checkpoint, output / CHECKPOINT)
    return digest


def keep_rest(base: Path, checkpoint: Path) -> None:
    """The base's tokenizer, chat templates, generation settings, licence and own code, byte for byte."""
    (checkpoint / "generation_config.json").unlink(missing_ok=True)
    paths = {path for pattern in KEPT for path in base.glob(pattern) if path.is_file()}
    for file in (*paths, *code_files(base)):
        (checkpoint / file.relative_to(base)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, checkpoint / file.relative_to(base))


def _fresh(folder: Path) -> Path:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    return partial


def _publish(partial: Path, folder: Path) -> None:
    sync_tree(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
