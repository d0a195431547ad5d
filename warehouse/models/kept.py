"""The lake's own copies of models that were not trained in it: bases, judges, writers.

models/<weights>-<files>/        a model's folder: weights, configuration, tokenizer, template, code, licence
models/<weights>-<files>.json    its hashes, and its files with size and SHA-256; written last

The name is the content: 32 digits of each hash, so that loops share a copy, and whoever has a row of
`checkpoints` knows where its files lie. A copy counts once its list is there; it is made in `spare/`, hashed
as it lies there, and only then gets its name. Bytes are copied, shared only where the file system copies on
write: a hard link would change with the original.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from schemas.errors import LakeError, LogDamaged, ModelError
from warehouse.artifacts import listed, listing
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake
from warehouse.models.code import code_files
from warehouse.models.described import deciding_files, files_hash
from warehouse.models.tensors import weight_files, weights_hash
from warehouse.store.durable import sha256, sync
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors

ROOM = "models"
LOCK = "models.room"  # no loop has such a name
BESIDE = ("*.safetensors.index.json", "LICENSE*", "NOTICE*", "origin.json")
"""What is copied beside the files that decide: which shard holds what, the terms, and where it comes from."""
PIECE = 64 << 20  # bytes
_HASH = re.compile(r"[0-9a-f]{64}")
_NOT_IN_KERNEL = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}

Advance = Callable[[int], None]


def folder_name(content_hash: str, files_hash: str | None) -> str:
    """The name in the lake of the folder for a model of these hashes (files_hash None: not on record)."""
    if not are_hashes(content_hash, files_hash):
        raise LogDamaged(f"{content_hash!r} and {files_hash!r} are not the hashes of a model")
    return f"{ROOM}/{content_hash[:32]}" + (f"-{files_hash[:32]}" if files_hash else "")


def find_copy(lake: Lake, content_hash: str, files_hash: str | None) -> str | None:
    """The name of a model's folder in the lake; None where the lake has no whole copy."""
    if not are_hashes(content_hash, files_hash):
        return None
    name = folder_name(content_hash, files_hash)
    return name if lake.store.entry(f"{name}.json") is not None else None


def keep(
    lake: Lake,
    source: Path,
    content_hash: str,
    files_hash: str | None,
    advance: Advance = lambda _: None,
) -> str:
    """Take the model in a folder into the lake, once; returns the name of its folder there.

    A damaged copy is made anew. `advance` is called with bytes copied. ModelError where the
    copy does not have the hashes given: the source was changed.
    """
    name = folder_name(content_hash, files_hash)
    with (
        disk_errors(f"the model at {source} cannot be taken into the lake"),
        lake.store.exclusive(LOCK, wait=True),
    ):
        if _is_whole(lake, name, content_hash, files_hash):
            lake.store.replace(f"{name}.json", lake.store.get(f"{name}.json"))  # new again: see maintain.py
            return name
        lake.store.delete(f"{name}.json")
        _copy(lake, source, name, content_hash, files_hash, advance)
        lake.publish(name)
        reached("keep: copied")
        hashes = {"content_hash": content_hash, "files_hash": files_hash}
        files = json.loads(listing(lake, name))
        _check_stored(lake, name, files)
        lake.store.replace(f"{name}.json", json.dumps(hashes | {"files": files}, indent=1).encode())
        reached("keep: listed")
    return name


def is_model(folder: Path, content_hash: str, files: str | None) -> bool:
    """Whether a folder holds the model of these hashes now."""
    try:
        same = files is None or files_hash(folder) == files
        return same and weights_hash(folder) == content_hash
    except (ModelError, OSError):
        return False


def files_of(folder: Path) -> list[Path]:
    """The files of a model's folder that a copy holds, in order of name."""
    beside = [path for pattern in BESIDE for path in folder.glob(pattern) if path.is_file()]
    return sorted({*weight_files(folder), *deciding_files(folder), *code_files(folder), *beside})


def size_of(folder: Path) -> int:
    """Bytes of a copy of the model in a folder."""
    return sum(path.stat().st_size for path in files_of(folder))


@dataclass(frozen=True)
class Kept:
    """The list of a copy: the hashes of its weights and of its other files, and every file."""

    content_hash: str
    files_hash: str | None
    files: tuple[SealedFile, ...]


def read_list(lake: Lake, name: str) -> Kept:
    """The list of a copy by its name (models/....json); LogDamaged where it is not that copy's."""
    try:
        values = json.loads(lake.store.get(name))
        copy = Kept(values["content_hash"], values["files_hash"], tuple(listed(json.dumps(values["files"]))))
        folder = folder_name(copy.content_hash, copy.files_hash)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LogDamaged(f"{name} does not parse") from None
    if f"{folder}.json" != name or any(not file.name.startswith(f"{folder}/") for file in copy.files):
        raise LogDamaged(f"{name} is the list of another model")
    return copy


def are_hashes(*texts: str | None) -> bool:
    """Whether texts have the form of hashes; None, a hash not on record, passes."""
    return all(one is None or _HASH.fullmatch(one) for one in texts)


def _copy(
    lake: Lake, source: Path, name: str, content_hash: str, files_hash: str | None, advance: Advance
) -> None:
    """A copy under its name on this machine, hashed as it lies there, and synced."""
    copy = lake.root / "spare" / f".model-{uuid4().hex}"
    target = lake.root / name
    try:
        for file in files_of(source):
            _copy_file(file, copy / file.relative_to(source), advance)
        if not is_model(copy, content_hash, files_hash):
            raise ModelError(f"the model at {source} is not what it was when it was read: it was changed")
        if target.exists():  # of a run that was killed, or damaged
            target.rename(copy.with_name(f"{copy.name}-old"))
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (path for path in (copy, *copy.rglob("*")) if path.is_dir()):
            sync(folder)
        copy.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(copy.with_name(f"{copy.name}-old"), ignore_errors=True)


def _copy_file(source: Path, target: Path, advance: Advance) -> None:
    """A synced copy of a file; its blocks are shared where the file system copies on write."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        while moved := _moved(reader.fileno(), writer.fileno()):
            advance(moved)
        reached("keep: file copied")
        os.fsync(writer.fileno())


def _moved(source: int, target: int) -> int:
    """The next piece from one open file to another: its bytes, 0 at the end."""
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, PIECE)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
    data = memoryview(os.read(source, PIECE))
    at = 0
    while at < len(data):
        at += os.write(target, data[at:])
    return at


def _is_whole(lake: Lake, name: str, content_hash: str, files_hash: str | None) -> bool:
    """Whether the lake has a copy with every file that its list names, and it is the model."""
    if find_copy(lake, content_hash, files_hash) is None:
        return False
    try:
        files = read_list(lake, f"{name}.json").files
    except LogDamaged:
        return False
    stored = [(lake.store.entry(file.name), file.size) for file in files]
    whole = all(entry is not None and entry.size == size for entry, size in stored)
    return whole and is_model(lake.place(name), content_hash, files_hash)


def _check_stored(lake: Lake, name: str, files: dict[str, list[Any]]) -> None:
    """LakeError where what a store elsewhere holds is not what lies here; in a folder they are one."""
    if lake.store.options is None:
        return
    for path in lake.root.joinpath(name).rglob("*"):
        stored = path.relative_to(lake.root).as_posix()
        if path.is_file() and files.get(stored, [0, ""])[1] != sha256(path):
            raise LakeError(f"{lake.where}/{stored} is not what was put there: run again to go on")
