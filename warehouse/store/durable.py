"""Files that survive power loss: write, sync, rename, sync the folder; and their hashes.

Covered: a local file system that honours fsync. Not covered: disks that lie about it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from uuid import uuid4

from warehouse.store.fault import reached

_HIDDEN = re.compile(r"\..+\.[0-9a-f]{32}")
_MASK = os.umask(0o077)  # it can only be read by setting it
os.umask(_MASK)
_settled: set[Path] = set()  # folders whose entry in their parent this process has synced


def sync(path: Path) -> None:
    """Flush a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reached("sync")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, above: Path) -> None:
    """Create a folder below `above`, each of its parents synced.

    A folder that is already there may be one that a killed process made and never synced: this process
    syncs it too, once.
    """
    new = []
    while folder != above and not (folder in _settled and folder.is_dir()):
        new.append(folder)
        folder = folder.parent
    for path in reversed(new):
        path.mkdir(exist_ok=True)
        sync(path.parent)
        _settled.add(path)


def write_new(path: Path, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Write a file that nobody reads yet, and sync it; nothing is left of it if that fails."""
    with path.open("xb") as file:
        try:
            reached("write")
            file.write(data)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def create(path: Path, data: bytes | memoryview) -> None:
    """Write a file that must not exist yet, so that a reader sees all of it or nothing; FileExistsError where
    it does.
    """
    temporary = _beside(path)
    try:
        write_new(temporary, data)
        link_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def shared(path: Path) -> None:
    """Give a file that a library wrote for its owner alone the mode of any other new file."""
    path.chmod(0o666 & ~_MASK)


def link_new(source: Path, target: Path) -> None:
    """Give a synced file its name, which must be free, durably; its old name goes."""
    os.link(source, target)  # unlike a rename, refuses a name that is taken
    reached("link")
    source.unlink()
    sync(target.parent)


def replace(path: Path, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    temporary = _beside(path)
    try:
        write_new(temporary, data, synced=synced)
        reached("rename")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if synced:
        sync(path.parent)


def _beside(path: Path) -> Path:
    """A hidden name in a file's folder, for the time in which it is written."""
    return path.with_name(f".{path.name}.{uuid4().hex}")


def left_behind(name: str) -> bool:
    """Whether a file has such a hidden name: its writer is at work, or was killed."""
    return _HIDDEN.fullmatch(name.rpartition("/")[2]) is not None


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
