"""What a model folder must be to be trained: whole, plain weights of one causal language model.

Looked at before anything is loaded: adapters, quantised weights, shards that are not there, models that have
an encoder. Looked at when it is loaded: tensors that the architecture wants and the files lack would be
random numbers, and tensors that it has no use for mean that the folder is of another model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.errors import ModelError
from warehouse.models.code import read_json

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
INDEX = "model.safetensors.index.json"
_COMPUTED = re.compile(r"(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias)$")
"""Buffers that old checkpoints hold and the architecture computes itself."""
_NAMED = 3


def check_whole(folder: Path) -> None:
    """ModelError, of one line, where a folder is an adapter, quantised, incomplete or no decoder."""
    if any((folder / name).is_file() for name in ADAPTER):
        own = any(folder.glob("model*.safetensors"))
        what = "holds an adapter beside a model" if own else "is an adapter, not a model"
        do = (
            "move it out of the folder"
            if own
            else "a new loop merges it (--model); for others merge it into its base"
        )
        raise ModelError(f"{folder} {what} (adapter_config.json): {do}")
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise ModelError(
            f"{folder} is quantised ({method or 'of an unknown kind'}): give the model that it was made "
            "from, in float32, bfloat16 or float16"
        )
    if config.get("is_encoder_decoder"):
        kind = config.get("model_type", "of this kind")
        raise ModelError(
            f"{folder} has an encoder (model_type {kind}): causal language models alone are trained"
        )
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX).get("weight_map")
        shards = {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()
        if missing := sorted(name for name in shards if not (folder / name).is_file()):
            raise ModelError(f"{folder} lacks {some(missing)}, which {INDEX} names: copy the model again")


def check_filled(folder: Path, info: dict[str, Any]) -> None:
    """ModelError where loading left tensors unfilled or unused; `info` is what transformers says of it."""
    missing = sorted(map(str, info.get("missing_keys", ())))
    unused = sorted(str(key) for key in info.get("unexpected_keys", ()) if not _COMPUTED.search(str(key)))
    other = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info.get("mismatched_keys", ()))
    if other:
        raise ModelError(f"{folder}: config.json gives other shapes than the weights have: {some(other)}")
    if missing and unused:
        raise ModelError(
            f"{folder} does not fill its architecture: it lacks {some(missing)} and has {some(unused)}, "
            "which nothing uses: it is another kind of model, or its tensors are named otherwise"
        )
    if missing:
        raise ModelError(f"{folder} does not fill its architecture: it lacks {some(missing)}")
    if unused:
        raise ModelError(f"{folder} has tensors that its architecture does not use: {some(unused)}")


def some(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
