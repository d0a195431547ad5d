"""Is a Delta log whole? An empty or torn entry drops its commit silently, so look before relying on it.

Covered: every entry after the last checkpoint is there, not empty, and parses. Not covered: entries
that a checkpoint has absorbed, and data files (seals look at those).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from schemas.errors import LogDamaged

_checked: dict[tuple[str, int, int], int] = {}  # (path, size, time of change) -> size; entries never change


def check_entries(log: Path) -> None:
    """Raise LogDamaged at the first entry after the last checkpoint that is missing, empty or torn."""
    version = last_checkpoint(log) + 1
    while True:
        entry = log / f"{version:020d}.json"
        try:
            found = os.stat(entry)
        except FileNotFoundError:
            break
        known = (str(entry), found.st_size, found.st_mtime_ns)
        if known not in _checked:
            _check_entry(entry)
            _checked[known] = found.st_size
        version += 1
    if (log / f"{version + 1:020d}.json").exists():
        raise LogDamaged(f"{log}: entry {version} is missing, entry {version + 1} is there")


def last_checkpoint(log: Path) -> int:
    """The version the newest checkpoint covers; -1 where there is none."""
    pointer = log / "_last_checkpoint"
    try:
        text = pointer.read_text("utf-8")
    except FileNotFoundError:
        return -1
    try:
        version = json.loads(text)["version"]
    except (ValueError, KeyError, TypeError):
        raise LogDamaged(f"{pointer} does not parse: the newest checkpoint cannot be found") from None
    if not isinstance(version, int):
        raise LogDamaged(f"{pointer} names no version")
    return version


def _check_entry(entry: Path) -> None:
    data = entry.read_bytes()
    if not data.strip():
        raise LogDamaged(f"{entry} is empty: a commit is lost; restore the file before going on")
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            raise LogDamaged(
                f"{entry} does not parse at line {number}: restore the file before going on"
            ) from None
