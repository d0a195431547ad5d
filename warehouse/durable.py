"""Files that survive power loss: write, sync, rename, sync the folder; and their hashes.

Covered: a local file system that honours fsync. Not covered: disks that lie about it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import uuid4


def sync(path: Path) -> None:
    """Flush a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, above: Path) -> None:
    """Create a folder below `above` and sync every parent that gained an entry."""
    missing = []
    while folder != above and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync(path.parent)


def write_new(path: Path, data: bytes | memoryview) -> None:
    """Write a file that nobody reads yet, and sync it; nothing is left of it if that fails."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    write_new(temporary, data)
    os.replace(temporary, path)
    sync(path.parent)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
