"""Where a checkpoint's files are: by content in the lake first, then where they were read from, then in the
folders that the user names (RATCHET_MODELS, --models), searched by hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.errors import LakeError, ModelError
from warehouse.lake import Lake
from warehouse.models.code import code_files
from warehouse.models.described import deciding_files, files_hash
from warehouse.models.kept import ROOM, find_copy
from warehouse.models.tensors import weight_files, weights_hash

SEARCHED = "RATCHET_MODELS"
"""The variable that names folders to search, as PATH does; `--models` adds to it."""
DEPTH = 6  # folders below one that is searched
MOST = 20_000  # folders looked at below one


def folder_of(lake: Lake, row: Mapping[str, Any]) -> Path:
    """The folder of a checkpoint, from its row; where none is found, the recorded path, which is not there.

    For a model behind an endpoint the folder means nothing.
    """
    path, hashes = str(row["path"]), (row["content_hash"], row.get("files_hash"))
    if "://" in path:
        return Path(path)
    if is_trained_here(path):
        return lake.place(path)
    own = find_copy(lake, *hashes)
    if own is not None:
        return lake.place(own)
    recorded = lake.root / path
    return find_model(recorded, *hashes) or recorded


def is_trained_here(path: str) -> bool:
    """Whether a path on record is that of a checkpoint of the lake's own trainings."""
    return not (is_outside(path) or path.startswith(f"{ROOM}/"))


def is_outside(path: str) -> bool:
    """Whether a path on record lies outside of the lake; LakeError where it does so in secret."""
    if ".." in Path(path).parts:
        raise LakeError(f"the log names the folder {path}, which leads out of the lake")
    return Path(path).is_absolute()


def find_model(recorded: Path, content_hash: str, files: str | None) -> Path | None:
    """A folder of this machine with a model: the one it was read from, else one below the folders searched.

    Where the user names no folder to search, the recorded one is returned unchecked; its user hashes it.
    """
    if not search_folders():
        return recorded if recorded.is_dir() else None
    below = (folder for root in search_folders() for folder in _model_folders(root))
    candidates = (folder for folder in (recorded, *below) if folder.is_dir())
    return next((one for one in candidates if agrees(one, content_hash, files)), None)


def search_folders() -> list[Path]:
    """The folders that the user names."""
    return [Path(one) for one in os.environ.get(SEARCHED, "").split(os.pathsep) if one]


def named_models(name: str) -> list[Path]:
    """Folders with models of a name (Qwen/Qwen3-0.6B) below those that the user names: called so, or as
    Hugging Face's cache keeps it.
    """
    last, cached = name.rstrip("/").rpartition("/")[2], f"models--{name.replace('/', '--')}"
    below = {folder.resolve() for root in search_folders() for folder in _model_folders(root)}
    return sorted(folder for folder in below if folder.name == last or cached in folder.parts)


def search_in(folder: Path) -> None:
    """Have this process, and those it starts, search one more folder."""
    os.environ[SEARCHED] = os.pathsep.join(map(str, dict.fromkeys([*search_folders(), folder.resolve()])))


def missing_line(what: str, content_hash: str, recorded: Path | str) -> str:
    """The line that tells a person what is missing and what to do about it."""
    looked = "".join(f", nor below {folder}" for folder in search_folders())
    return (
        f"{what} (weights {content_hash}) is neither in the lake nor at {recorded}{looked}: name a folder "
        f"that holds it by --models DIR or {SEARCHED}; `ratchet maintain --adopt --models DIR` takes it in"
    )


def agrees(folder: Path, content_hash: str, files: str | None) -> bool:
    """Whether a folder holds a model; the small files are looked at first, and no weights are hashed twice.

    A folder that does not parse or cannot be read holds none.
    """
    try:
        if files is not None and files_hash(folder) != files:
            return False
        return _content(folder, _stamps(folder)) == content_hash
    except (ModelError, OSError):
        return False


@lru_cache(maxsize=4096)  # what raises is not kept
def _content(folder: Path, stamps: tuple[object, ...]) -> str:
    return weights_hash(folder)


def _stamps(folder: Path) -> tuple[object, ...]:
    """The model's files with size and time of writing: another value, another model."""
    paths = (*weight_files(folder), *deciding_files(folder), *code_files(folder))
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)


def _model_folders(root: Path) -> Iterator[Path]:
    """Folders at most `DEPTH` below one, itself too, that hold a model's configuration and weights."""
    count = 0
    for at, below, names in os.walk(root):
        depth, count = len(Path(at).relative_to(root).parts), count + 1
        below[:] = sorted(below) if depth < DEPTH and count < MOST else []
        if count > MOST:
            return
        if "config.json" in names and any(name.endswith(".safetensors") for name in names):
            yield Path(at)
