"""Whether a base can be trained as hyperparameters ask, tried on the base before a loop opens with it.

Adapters are made as a training makes them, moved off zero and merged: the merged weights must compute what
base and adapters compute. Packing is checked as a training checks it before its first step, in a row longer
than the context where that is short. Neither needs examples.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model

from schemas.errors import RecipeError
from schemas.job import Hyperparameters, Lora
from tasks.models.checkpoint import file_stamps, load_model
from tasks.train.packing import keep_apart, touching
from tasks.train.quantize import need_bitsandbytes
from tasks.train.weights import context_of, lora_config

_PROBE = 12  # tokens
SHORT = 4_096
"""Tokens of a context that a packed row is made longer than in the probe."""
CLOSE = 1e-3
"""Of the largest logit: what merging adapters may change by rounding."""


def check_fits(folder: Path, hyper: Hyperparameters) -> None:
    """RecipeError, of one line, where adapters or padding-free batches do not go with the model; BadInput
    where a package that the hyperparameters need is missing.

    A pair that fits is not tried again in this process while the folder's files stay as they are.
    """
    if hyper.lora is not None and hyper.lora.quantize is not None:
        need_bitsandbytes("training.lora.quantize nf4")
    if hyper.optimizer == "adamw-8bit":
        need_bitsandbytes("training.optimizer adamw-8bit")
    if hyper.packing == "padding-free" or hyper.lora is not None:
        _try_once(folder, file_stamps(folder), hyper.packing, hyper.lora)


@lru_cache(maxsize=32)
def _try_once(folder: Path, files: tuple[tuple[str, int], ...], packing: str, lora: Lora | None) -> None:
    if packing == "padding-free":
        _check_packing(folder)
    if lora is not None:
        _check_adapters(folder, lora)


def _check_adapters(folder: Path, lora: Lora) -> None:
    model: Any = load_model(folder)
    where = "training.lora.target_modules"
    if not isinstance(lora.target_modules, str):
        names = [f".{name}" for name, _ in model.named_modules()]
        lacking = [one for one in lora.target_modules if not any(name.endswith(f".{one}") for name in names)]
        if lacking:
            raise RecipeError(f"{where}: {folder} has no layer {', '.join(lacking)}")
    try:
        adapted: Any = get_peft_model(model, lora_config(lora))
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise RecipeError(f"{where}: no adapters fit {folder}: {why}") from None
    if shared := _on_shared_weights(adapted):
        raise RecipeError(
            f"{where}: {shared} shares its weights with another layer of {folder} (tied embeddings), so "
            "that adapters on it cannot be merged: leave it out"
        )
    adapted.train(False)
    ids = probe_ids(model)
    with torch.no_grad():
        torch.manual_seed(0)
        for name, parameter in adapted.named_parameters():
            if "lora_magnitude" in name:
                parameter.mul_(1.0 + 0.05 * torch.randn_like(parameter))
            elif "lora_" in name:
                parameter.copy_(0.05 * torch.randn_like(parameter))
        apart = adapted(input_ids=ids, use_cache=False).logits
        merged = adapted.merge_and_unload()(input_ids=ids, use_cache=False).logits
    if not (merged - apart).abs().max() <= CLOSE * apart.abs().max().clamp(min=1.0):
        raise RecipeError(
            f"{where}: merged into {folder} such adapters compute something else than beside it: choose "
            "other layers"
        )


def probe_ids(model: Any) -> torch.Tensor:
    """A short text of a model's tokens, shape (1, tokens)."""
    rows: int = model.get_input_embeddings().weight.shape[0]
    return torch.arange(_PROBE)[None] % rows


def _on_shared_weights(adapted: Any) -> str | None:
    """A layer with adapters whose weights are also another module's; None where there is none."""
    owners: dict[int, set[str]] = {}
    for name, module in adapted.named_modules():
        weight = getattr(module, "_parameters", {}).get("weight")
        if weight is not None:
            owners.setdefault(id(weight), set()).add(name)
    for names in owners.values():
        mine = [name for name in names if name.endswith(".base_layer")]
        if mine and len(names) > 1:
            return mine[0].removesuffix(".base_layer").rpartition(".")[2]
    return None


def _check_packing(folder: Path) -> None:
    model: Any = load_model(folder)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    context = context_of(model)
    length = context // 2 + 1 if context is not None and context <= SHORT else _PROBE
    texts = [torch.arange(start, start + length) * 7 % vocabulary for start in (0, 3)]
    try:
        keep_apart(model)
        with torch.no_grad():
            apart, largest = touching(model, texts)
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
        why = " ".join(str(error).split())[:300]
        raise RecipeError(f"training.packing: {folder} cannot be padding-free: {why}") from None
    if not apart <= CLOSE * max(1.0, largest):
        raise RecipeError(
            f"training.packing: {folder} cannot be padding-free: an example changes what it says of the next "
            f"(logits by up to {apart:.2g}); leave it at none"
        )
