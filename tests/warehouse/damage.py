"""Ways in which a disk, or a hand, changes a file; each is undone when its block ends."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.verify.findings import Findings


@contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    """The file with other bytes, or without it for None."""
    before = path.read_bytes() if path.exists() else None
    _put(path, data)
    try:
        yield
    finally:
        _put(path, before)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    """The bytes with one bit turned over."""
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def flips(data: bytes, most: int, seed: int) -> Iterator[bytes]:
    """The bytes with one bit turned over: one of every byte, or of `most` bytes where there are more."""
    chosen = random.Random(seed)
    places = range(len(data)) if len(data) <= most else sorted(chosen.sample(range(len(data)), most))
    return (flipped(data, at, chosen.randrange(8)) for at in places)


def damaged(findings: Findings) -> set[str]:
    """Names of the files that a check calls damaged."""
    return {finding.where for finding in findings.items if finding.kind == "damage"}


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
