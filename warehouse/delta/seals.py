"""Seals: what a closed round consists of, for ever. Each names the one before, so that a loop has a chain.

A seal is a file `seals/<loop>/<round>.json`, in canonical JSON: every file of the round's partitions with
rows, size and SHA-256, the version and the log's running hash of every table, the units that the round holds,
the files of its snapshots and trainings, and the hash of the loop's previous seal. Its own hash is put on
record in table `rounds` by a commit, so that a seal that is rewritten no longer fits the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from deltalake import DeltaTable

from schemas.errors import LogDamaged
from warehouse.delta.journal import LogEntry, canonical, read_entry
from warehouse.store.face import Store

START = hashlib.sha256(b"").hexdigest()  # the running hash of a log without entries


@dataclass(frozen=True)
class SealedFile:
    """One file as it was when its round closed."""

    name: str
    rows: int | None
    size: int
    sha256: str


@dataclass(frozen=True)
class SealedTable:
    """A round's part of one table, and where the table's log stood: `log` is its running hash, and no entry
    before `later` is of a later round of the loop.
    """

    version: int
    later: int
    log: str
    rows: int
    files: tuple[SealedFile, ...]
    units: tuple[str, ...]
    checkpoints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seal:
    """One round, closed. `previous` is the SHA-256 of the seal before it; none for a loop's first."""

    loop: str
    round: int
    sealed_at: str
    previous: str | None
    tables: Mapping[str, SealedTable]
    artifacts: tuple[SealedFile, ...]

    def units(self, table: str) -> frozenset[str]:
        """Keys of the units of a table that the round holds."""
        return self._units.get(table, frozenset())

    def files(self, table: str) -> tuple[SealedFile, ...]:
        """The round's files of a table; none of one that came later than the seal."""
        return self.tables[table].files if table in self.tables else ()

    @cached_property
    def _units(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(table.units) for name, table in self.tables.items()}

    @cached_property
    def data(self) -> bytes:
        """The seal's file, to the byte."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        tables = {
            name: vars(table) | {"files": [vars(file) for file in table.files]}
            for name, table in self.tables.items()
        }
        artifacts = [vars(file) for file in self.artifacts]
        return canonical(values | {"tables": tables, "artifacts": artifacts}) + b"\n"

    @property
    def sha256(self) -> str:
        """The hash by which the next seal, and the log, name this one."""
        return hashlib.sha256(self.data).hexdigest()


def seal_name(loop: str, round_number: int) -> str:
    """The name of a round's seal in the lake."""
    return f"seals/{loop}/{round_number:05d}.json"


def find_seal(store: Store, loop: str, round_number: int) -> Seal | None:
    """A round's seal; None where the round has none yet; LogDamaged where it does not parse."""
    name = seal_name(loop, round_number)
    try:
        return parse_seal(name, store.get(name))
    except FileNotFoundError:
        return None


def compacted_units(store: Store, log: str, version: int, loop: str, round_number: int) -> frozenset[str]:
    """Keys that a round's compaction took out of a table's log, whose seal is not written yet."""
    for number in range(version, -1, -1):
        description = read_entry(store, log, number).described
        closing = description.get("compacted") or description.get("closed") or {}
        if (closing.get("loop"), closing.get("round")) == (loop, round_number):
            return frozenset(closing.get("units", ()))
    return frozenset()


def last_seal(store: Store, loop: str) -> Seal | None:
    """The newest seal of a loop's chain; None for a loop without one."""
    names = [entry.name for entry in store.entries(f"seals/{loop}") if entry.name.endswith(".json")]
    newest = max(names, key=lambda name: (len(name), name), default=None)  # rounds beyond 99999 are longer
    return None if newest is None else parse_seal(newest, store.get(newest))


def parse_seal(name: str, data: bytes) -> Seal:
    """A seal from its file's bytes, which must be its canonical form, to the byte, and fit its name."""
    try:
        values = json.loads(data)
        seal = Seal(
            **{
                **values,
                "tables": {table: _table(value) for table, value in values["tables"].items()},
                "artifacts": tuple(SealedFile(**one) for one in values["artifacts"]),
            }
        )
        whole = seal.data == data and seal_name(seal.loop, seal.round) == name
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise LogDamaged(f"{name} is not a seal any more: its bytes were changed")
    return seal


def closed_before(delta: DeltaTable, loop: str) -> int:
    """Rounds of a loop below this number take no more appends to an open table."""
    return int(delta.transaction_version(closing_key(loop)) or 0)


def closing_key(loop: str) -> str:
    """The key whose version is the number of a loop's rounds that are closed to appends."""
    return f"closed/{loop}"


def compaction_key(loop: str) -> str:
    """The key whose version is the number of a loop's rounds that are compacted."""
    return f"compacted/{loop}"


def anchor_key(loop: str) -> str:
    """The key, in table `rounds`, whose version is the number of a loop's seals on record."""
    return f"sealed/{loop}"


def running_hash(before: str, entries: Iterable[LogEntry]) -> str:
    """The running hash of a log, carried on over more entries."""
    for entry in entries:
        before = hashlib.sha256(f"{before} {entry.sha256}".encode()).hexdigest()
    return before


def _table(value: Any) -> SealedTable:
    files = tuple(SealedFile(**one) for one in value["files"])
    return SealedTable(**{**value, "files": files, "units": tuple(value["units"])})
