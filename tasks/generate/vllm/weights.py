"""What decides whether a running server can take a folder's weights: other values, the same shapes."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open

from schemas.job import Chat
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import check_folder, file_stamps, weights_hash
from tasks.models.ends import end_ids
from warehouse.models.code import code_hash


def folder_label(folder: Path) -> str:
    """A folder's name for a person: a trained checkpoint's is that of its training."""
    return str(Path(*folder.resolve().parts[-2:]))


def content_of(folder: Path, chat: Chat = PLAIN) -> str:
    """The hash of a folder's weights and its end tokens, kept while none of its files was written again."""
    return _kept_content(folder.resolve(), file_stamps(folder), chat)


@lru_cache(maxsize=16)
def _kept_content(folder: Path, files: tuple[tuple[str, int], ...], chat: Chat) -> str:
    return f"{weights_hash(folder)} {end_ids(folder, chat)}"


def shape_of(folder: Path, chat: Chat = PLAIN) -> tuple[Any, ...]:
    """What two folders must share for one's weights to take the other's place in a server that runs."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name in ("transformers_version", "_name_or_path"):
        config.pop(name, None)
    tensors = []
    for file in check_folder(folder):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no mapping)
                part = weights.get_slice(name)
                tensors.append((name, tuple(part.get_shape()), part.get_dtype()))
    return json.dumps(config, sort_keys=True), sorted(tensors), end_ids(folder, chat), code_hash(folder)
