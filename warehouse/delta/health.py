"""Is a Delta log whole? An empty or torn entry drops its commit silently, so look before relying on it.

Covered: every entry after the last checkpoint is there, not empty, and parses. Not covered here: entries
that a checkpoint has absorbed, and data files (`verify` looks at those).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.errors import LogDamaged
from warehouse.delta.journal import entry_name, read_entry
from warehouse.store.face import Entry, Store

_checked: set[tuple[str, Entry]] = set()  # entries never change: one that was whole is not read again


@dataclass(frozen=True)
class Sight:
    """A whole log as it was seen: the newest checkpoint (-1: none), its file, and the entries after it."""

    covered: int
    checkpoint: Entry | None
    entries: tuple[Entry, ...]

    @property
    def version(self) -> int:
        """The newest version that was seen."""
        return self.covered + len(self.entries)

    def follows(self, earlier: Sight) -> bool:
        """Whether the log has only grown since: no file seen then is gone or another now."""
        same = (self.covered, self.checkpoint) == (earlier.covered, earlier.checkpoint)
        return same and self.entries[: len(earlier.entries)] == earlier.entries


def check_entries(store: Store, log: str) -> Sight | None:
    """The log as it is, None before it has begun; LogDamaged at the first entry that is missing or torn."""
    covered = last_checkpoint(store, log)
    entries = store.numbered(log, covered + 1)
    for version, entry in enumerate(entries, start=covered + 1):
        if entry.name != entry_name(log, version):
            raise LogDamaged(f"{log}: entry {version} is missing, a later one is there")
        key = (store.where, entry)
        if key not in _checked:
            read_entry(store, log, version)
            _checked.add(key)
    if covered < 0 and not entries:
        return None
    checkpoint = store.entry(f"{log}/{covered:020d}.checkpoint.parquet") if covered >= 0 else None
    return Sight(covered, checkpoint, tuple(entries))


def last_checkpoint(store: Store, log: str) -> int:
    """The version the newest checkpoint covers; -1 where there is none."""
    pointer = f"{log}/_last_checkpoint"
    try:
        text = store.get(pointer)
    except FileNotFoundError:
        return -1
    try:
        version = json.loads(text)["version"]
    except (ValueError, KeyError, TypeError):
        raise LogDamaged(f"{pointer} does not parse: the newest checkpoint cannot be found") from None
    if not isinstance(version, int) or version < 0:
        raise LogDamaged(f"{pointer} names no version")
    return version
