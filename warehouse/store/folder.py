"""A lake in a folder of this machine: every write is synced, and its folders are too.

Covered: a local file system that honours fsync and flock. Not covered: network file systems that honour
neither; put a lake that several hosts share into a bucket.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import BadInput, LakeBusy
from warehouse.store.durable import create, link_new, make_folder, replace, sha256, shared, sync
from warehouse.store.face import Data, Entry


class Folder:
    """Storage in a folder."""

    def __init__(self, root: Path) -> None:
        self.options = None
        self.home = root.resolve()
        self.where = str(self.home)

    def put_new(self, name: str, data: Data) -> None:
        """Write and sync a new file and the folders it lies in."""
        path = self._place(name)
        create(path, data)

    def put_file(self, name: str, path: Path) -> None:
        """Move a local file of the same disk into its place."""
        target = self._place(name)
        shared(path)
        sync(path)
        link_new(path, target)

    def replace(self, name: str, data: Data) -> None:
        """Write a file, or write it anew, by renaming a synced one."""
        replace(self._place(name), data)

    def note(self, name: str, data: Data) -> None:
        """Write a file, or write it anew, by renaming one that is not synced."""
        replace(self._place(name), data, synced=False)

    def get(self, name: str) -> bytes:
        """A file's bytes."""
        with open(os.path.join(self.home, name), "rb") as file:
            return file.read()

    def digest(self, name: str) -> str:
        """SHA-256 of a file's bytes."""
        return sha256(self.home / name)

    def entry(self, name: str) -> Entry | None:
        """What is stored under a name."""
        try:
            state = os.stat(os.path.join(self.home, name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Entry(name, state.st_size, state.st_mtime) if stat.S_ISREG(state.st_mode) else None

    def entries(self, prefix: str) -> list[Entry]:
        """Every file below a folder."""
        home = os.path.join(self.home, "")
        return sorted(_walk(os.path.join(home, prefix), len(home)), key=lambda entry: entry.name)

    def numbered(self, folder: str, first: int) -> list[Entry]:
        """Log entries from a number on: asked for one by one, so that old ones cost nothing."""
        entries = []
        number, missing = first, 0
        while missing < 2:  # look behind one gap: a lost entry must not hide the ones after it
            entry = self.entry(f"{folder}/{number:020d}.json")
            missing = missing + 1 if entry is None else 0
            entries += [] if entry is None else [entry]
            number += 1
        return entries

    def delete(self, name: str) -> None:
        """Remove a file."""
        (self.home / name).unlink(missing_ok=True)

    def local(self, names: Sequence[str]) -> list[Path]:
        """Files lie where they are."""
        return [self.home / name for name in names]

    def delta(self, name: str) -> str:
        """A folder's path."""
        return str(self.home / name)

    def make(self, folder: str) -> None:
        """Make a folder, its parents synced."""
        make_folder(self.home / folder, self.home)

    def taken(self) -> bool:
        """Whether a file, or a folder with other things in it, lies there."""
        if self.home.exists() and not self.home.is_dir():
            raise BadInput(f"{self.home} is a file, not a folder for a lake")
        return self.home.is_dir() and any(
            not entry.name.startswith(".lake.json.") for entry in self.home.iterdir()
        )

    def publish(self, names: Sequence[str]) -> None:
        """Sync files and every folder between them and the lake's."""
        self.settle(names)
        for name in names:
            make_folder((self.home / name).parent, self.home)

    def stale(self, seconds: float) -> list[Path]:
        """Nothing: files lie where they are."""
        return []

    def settle(self, names: Sequence[str]) -> None:
        """Sync files and their folders."""
        folders = set()
        for name in names:
            path = self.home / name
            if path.exists():
                sync(path)
                folders.add(path.parent)
        for folder in folders:
            sync(folder)

    def now(self) -> float:
        """The host's clock, which also stamps its files."""
        return time.time()

    @contextmanager
    def exclusive(self, name: str, *, wait: bool) -> Iterator[None]:
        """A file lock: it dies with its process."""
        with self._place(f"locks/{name}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:
                file.seek(0)
                raise LakeBusy(file.read().strip() or "another process") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def _place(self, name: str) -> Path:
        path = self.home / name
        make_folder(path.parent, self.home)
        return path


def _walk(folder: str, start: int) -> Iterator[Entry]:
    """Every file below a folder, by its path from character `start` on; one that goes while we look is passed
    over.
    """
    try:
        items = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for one in items:
        if one.is_dir(follow_symlinks=False):
            yield from _walk(one.path, start)
            continue
        try:
            state = one.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield Entry(one.path[start:].replace(os.sep, "/"), state.st_size, state.st_mtime)
