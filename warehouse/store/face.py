"""What a lake needs of storage: one small face, behind which a folder or an S3-compatible bucket stands.

Names are relative to the lake and use "/". Whatever is written here is whole and durable when the call
returns, and a name that facts refer to is written once and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Data = bytes | memoryview


@dataclass(frozen=True)
class Entry:
    """A stored file: its name, size in bytes, and when it was written, in seconds by the store's clock."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """What a lake needs of storage. Two stand behind it: `Folder` and `Bucket`."""

    @property
    def where(self) -> str:
        """The lake's address, as a person gives it."""

    @property
    def home(self) -> Path:
        """The lake's own folder, or where a bucket's files are kept on this machine."""

    @property
    def options(self) -> Mapping[str, str] | None:
        """What Delta needs to reach it."""

    def put_new(self, name: str, data: Data) -> None:
        """Write a file that must not exist yet; FileExistsError where it does."""

    def put_file(self, name: str, path: Path) -> None:
        """As `put_new`, the bytes being those of a local file, which is used up."""

    def replace(self, name: str, data: Data) -> None:
        """Write a file, or write it anew: a reader sees the old bytes or the new, never a part."""

    def note(self, name: str, data: Data) -> None:
        """As `replace`, but a power loss may lose it: for what can be written again."""

    def get(self, name: str) -> bytes:
        """A file's bytes; FileNotFoundError where there is none."""

    def digest(self, name: str) -> str:
        """SHA-256 (64 hex digits) of the bytes that the store holds now; FileNotFoundError for none."""

    def entry(self, name: str) -> Entry | None:
        """What is stored under a name; None for nothing."""

    def entries(self, prefix: str) -> list[Entry]:
        """Every file below a prefix (a folder's name, or "" for the lake), in order of name."""

    def numbered(self, folder: str, first: int) -> list[Entry]:
        """The log entries `<20 digits>.json` of a folder from number `first` on, in order."""

    def delete(self, name: str) -> None:
        """Remove a file that no fact names; nothing happens where there is none."""

    def local(self, names: Sequence[str]) -> list[Path]:
        """Local paths of files that never change: their own, or copies fetched once."""

    def delta(self, name: str) -> str:
        """How Delta names a folder of the lake."""

    def make(self, folder: str) -> None:
        """Prepare a folder that Delta's own writer will write into."""

    def taken(self) -> bool:
        """Whether something that is not a lake lies where a lake is asked for."""

    def publish(self, names: Sequence[str]) -> None:
        """Bring local files below `home` to the store, durably; for a folder they are there."""

    def stale(self, seconds: float) -> list[Path]:
        """Copies on this machine that were not used for so long; a folder has none."""

    def settle(self, names: Sequence[str]) -> None:
        """Make durable what Delta's own writer wrote; names that do not exist are passed over."""

    def now(self) -> float:
        """The store's clock, in seconds, to hold against `Entry.modified`."""

    def exclusive(self, name: str, *, wait: bool) -> AbstractContextManager[None]:
        """Hold a lock of the lake until the block ends, or its process does; LakeBusy where another has
        it and `wait` is false.
        """
