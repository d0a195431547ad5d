"""An adapter's folder as people bring it, merged into the model that it was trained on.

Covered: LoRA and DoRA, modules that were trained whole (modules_to_save), embeddings that were resized for
new tokens. Every tensor of the adapter has to have its place, and what the merged weights compute has to be
what base and adapter compute. Other kinds of adapters, and pickled ones, are refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, PeftType, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import GenerationConfig

from schemas.errors import ModelError, first_line
from tasks.models.checkpoint import load_model, weights_hash
from tasks.models.whole import ADAPTER, some
from tasks.train.fits import CLOSE, probe_ids
from tasks.train.weights import keep_rest
from warehouse.models.code import read_json
from warehouse.models.described import deciding_files

ERRORS = (ValueError, TypeError, KeyError, RuntimeError, AttributeError, NotImplementedError, SafetensorError)
"""What PEFT raises of an adapter that does not fit."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    own = any(folder.glob("model*.safetensors"))
    return any((folder / name).is_file() for name in ADAPTER) and not own


def adapter_hash(folder: Path) -> str:
    """SHA-256 over what an adapter's folder brings: settings, tensors, tokenizer and templates."""
    sha = hashlib.sha256()
    for path in (*(folder / name for name in ADAPTER), *deciding_files(folder)):
        sha.update(f"{path.name}|".encode())
        if path.is_file():
            with path.open("rb") as stream:
                sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()


def lora_of(folder: Path) -> LoraConfig:
    """The settings of an adapter; ModelError of one line where it is none that can be merged."""
    settings = read_json(folder / ADAPTER[0]) if (folder / ADAPTER[0]).is_file() else {}
    if settings.get("peft_type") != PeftType.LORA:
        kind = str(settings.get("peft_type"))[:40]
        raise ModelError(f"{folder} is an adapter of kind {kind}: LoRA's and DoRA's alone are merged")
    if not (folder / ADAPTER[1]).is_file():
        raise ModelError(f"{folder} is an adapter without {ADAPTER[1]}: safetensors alone are loaded")
    try:
        config: LoraConfig = LoraConfig.from_pretrained(str(folder), local_files_only=True)
    except ERRORS as error:
        raise ModelError(f"{folder}: {ADAPTER[0]} cannot be read: {first_line(error)}") from None
    if not isinstance(config.base_model_name_or_path, str) or not config.base_model_name_or_path:
        raise ModelError(f"{folder}: {ADAPTER[0]} names no base_model_name_or_path")
    return config


def unread_settings(folder: Path) -> list[str]:
    """The settings of an adapter, given a value, that this PEFT does not know and leaves unread."""
    names = {one.name for one in fields(LoraConfig)}
    return sorted(
        name for name, value in read_json(folder / ADAPTER[0]).items() if value and name not in names
    )


def merge(folder: Path, base: Path, to: Path) -> None:
    """Write the model that an adapter makes of its base into `to`, in float32; ModelError where they do not
    fit.
    """
    config, tensors = lora_of(folder), _tensors(folder)
    model: Any = load_model(base)
    try:
        _resize(model, tensors)
        adapted: Any = PeftModel(model, config)
        outcome: Any = set_peft_model_state_dict(adapted, tensors)
    except ERRORS as error:
        why = " ".join(str(error).split())[:300]
        raise ModelError(f"{folder} does not fit {base}: {why}") from None
    missing = [name for name in outcome.missing_keys if "lora_" in name or "modules_to_save" in name]
    if names := [*outcome.unexpected_keys, *missing]:
        what = "has tensors that fit nowhere in" if outcome.unexpected_keys else "lacks tensors for"
        raise ModelError(f"{folder} {what} {base}: {some(sorted(names))}")
    adapted.train(False)
    ids = probe_ids(model)
    with torch.no_grad():
        beside = adapted(input_ids=ids, use_cache=False).logits
        whole = adapted.merge_and_unload()
        apart = (whole(input_ids=ids, use_cache=False).logits - beside).abs().max()
    if not apart <= CLOSE * beside.abs().max().clamp(min=1.0):
        raise ModelError(f"{folder} merged into {base} computes something else than beside it")
    whole.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    whole.save_pretrained(to)
    keep_rest(base, to)
    _take_over(folder, to)
    origin = {"adapter": str(folder.resolve()), "adapter_hash": adapter_hash(folder)}
    origin |= {"base": str(base.resolve()), "base_hash": weights_hash(base)}
    (to / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", "utf-8")


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """An adapter's tensors, each once: of a resized embedding PEFT writes the base's own and a copy too."""
    try:
        tensors = load_file(folder / ADAPTER[1])
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / ADAPTER[1]} cannot be read: {first_line(error)}") from None
    copies = set()
    for name, tensor in tensors.items():
        plain = tensors.get(name.replace(".modules_to_save.", ".").replace(".original_module.", "."))
        copied = ".modules_to_save." in name and plain is not None and torch.equal(plain, tensor)
        if copied or (".original_module." in name and plain is not None):
            copies.add(name)
    return {name: tensor for name, tensor in tensors.items() if name not in copies}


def _resize(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Give the model as many embeddings as the adapter brings; ValueError where it does so for one side."""
    inner, outer = model.get_input_embeddings(), model.get_output_embeddings()
    names = {module: name for name, module in model.named_modules() if module in (inner, outer)}
    rows = {side: next(_rows(names[side], tensors), None) for side in (inner, outer)}
    size = rows[inner] or rows[outer] or inner.weight.shape[0]
    if size == inner.weight.shape[0]:
        return
    tied = inner.weight is outer.weight
    if not tied and rows[inner] != rows[outer]:
        raise ValueError(f"it brings {size} embeddings for one side of the model alone")
    model.resize_token_embeddings(size, mean_resizing=False)


def _rows(name: str, tensors: dict[str, torch.Tensor]) -> Iterator[int]:
    """The rows of an embedding, as an adapter's tensors have them."""
    for key, tensor in tensors.items():
        if key.endswith((f"{name}.weight", f"{name}.modules_to_save.weight", f"{name}.base_layer.weight")):
            yield tensor.shape[0]
        elif key.endswith(f"{name}.lora_embedding_A"):
            yield tensor.shape[1]


def _take_over(folder: Path, to: Path) -> None:
    """An adapter's own tokenizer, templates and generation settings in the place of its base's."""
    own = [path for path in deciding_files(folder) if path.name != "config.json"]
    if any(path.name.startswith("tokenizer") for path in own):
        for path in deciding_files(to):
            if path.name not in ("config.json", "generation_config.json"):
                path.unlink()
    for path in own:
        (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / path.relative_to(folder))
