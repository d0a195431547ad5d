"""The entries of a Delta log as facts: what each says, its hash, and how later ones vouch for it.

Every commit of ours describes itself under `ratchet` in its commit information: its units, its files with
their hashes, the hashes of the log entries before it that no commit had vouched for yet (`links`, which
reach up to `linked_to`), and a digest over all of that. So an entry that is changed later no longer fits
what its followers say of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deltalake.transaction import AddAction, RemoveAction

from schemas.errors import LakeError, LogDamaged
from schemas.tables import FORMAT
from warehouse.delta.datafile import DataFile
from warehouse.store.face import Store

Described = dict[str, Any]

EARLIEST = 1_767_225_600_000  # 2026-01-01: no fact is older
LATEST = EARLIEST + 9_000 * 86_400_000  # keys live for 10000 days, see lake.py
MOST_SEEN = 4096
_seen: dict[tuple[str, str, int], tuple[str, int]] = {}


@dataclass(frozen=True)
class LogEntry:
    """One entry of a table's Delta log: its version, the SHA-256 of its bytes, and its actions."""

    name: str
    version: int
    sha256: str
    actions: tuple[Mapping[str, Any], ...]

    @cached_property
    def described(self) -> Described:
        """What our commit says of itself; empty for a commit that is not ours."""
        for info in self.of("commitInfo"):
            description = info.get("ratchet")
            description = json.loads(description) if isinstance(description, str) else description
            return description if isinstance(description, dict) else {}
        return {}

    @property
    def units(self) -> list[str]:
        """Keys of the units of work that this entry brought."""
        return [str(key) for key in self.described.get("units", [])]

    def of(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """The actions of a kind: add, remove, txn, metaData ..."""
        return (action[kind] for action in self.actions if isinstance(action.get(kind), dict))


@dataclass(frozen=True)
class Actions:
    """What a commit does, as we ask it of Delta: `at` is in milliseconds since the epoch.

    `keys` are application transactions: (name, version, date), of which the last lets a key expire.
    """

    at: int
    added: tuple[DataFile, ...] = ()
    retired: tuple[DataFile, ...] = ()
    keys: tuple[tuple[str, int, int], ...] = ()
    changes_data: bool = True

    @property
    def delta(self) -> list[AddAction | RemoveAction]:
        """Delta's own actions, keys aside."""
        added = [
            AddAction(file.path, file.size, file.partition, self.at, self.changes_data, file.statistics)
            for file in self.added
        ]
        retired = [
            RemoveAction(
                path=file.path,
                data_change=False,
                deletion_timestamp=self.at,
                partition_values=dict(file.partition),
                size=file.size,
            )
            for file in self.retired
        ]
        return [*added, *retired]

    @property
    def digest(self) -> str:
        """SHA-256 over what is done, in one order."""
        adds = [
            ["add", f.path, dict(f.partition), f.size, self.at, self.changes_data, f.statistics]
            for f in self.added
        ]
        removes = [["remove", f.path, dict(f.partition), f.size, self.at, False] for f in self.retired]
        return _digest_of_actions([*adds, *removes, *(["txn", *key] for key in self.keys)])


def actions_digest(entry: LogEntry) -> str:
    """As `Actions.digest`, from an entry of the log."""
    fields = ("path", "partitionValues", "size")
    adds = [
        ["add", *(a.get(k) for k in (*fields, "modificationTime", "dataChange", "stats"))]
        for a in entry.of("add")
    ]
    removes = [
        ["remove", *(r.get(k) for k in (*fields, "deletionTimestamp", "dataChange"))]
        for r in entry.of("remove")
    ]
    keys = [["txn", *(t.get(k) for k in ("appId", "version", "lastUpdated"))] for t in entry.of("txn")]
    return _digest_of_actions([*adds, *removes, *keys])


def _digest_of_actions(actions: list[list[Any]]) -> str:
    lines = sorted(canonical(action) for action in actions)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def entry_name(log: str, version: int) -> str:
    """The name of a log entry in the lake."""
    return f"{log}/{version:020d}.json"


def version_of(name: str) -> int:
    """The version that a log entry's name carries."""
    return int(name.rpartition("/")[2].removesuffix(".json"))


def problem(entry: LogEntry) -> str | None:
    """How an entry differs from what it says was committed, in one line; None where it does not, or where it
    does not describe itself.
    """
    description = entry.described
    if "digest" not in description:
        return None
    if description["digest"] != digest_of(description):
        return "its description of itself was changed"
    if "actions" in description and description["actions"] != actions_digest(entry):
        return "what it does is not what was committed: its actions were changed"
    return None


def half_written(name: str) -> bool:
    """Whether a file in a log's folder was left by a killed writer, ours or Delta's own, which stages
    `<name>#1`.
    """
    last = name.rpartition("/")[2]
    return last.startswith((".", "_commit_")) or bool(re.search(r"\.tmp$|#\d+$", last))


def read_entry(store: Store, log: str, version: int) -> LogEntry:
    """One entry; LogDamaged where it is missing, empty or torn."""
    name = entry_name(log, version)
    try:
        data = store.get(name)
    except FileNotFoundError:
        raise LogDamaged(f"{name} is missing: restore the file before going on") from None
    return LogEntry(name, version, hashlib.sha256(data).hexdigest(), tuple(_parsed(name, data)))


def read_entries(store: Store, log: str, first: int, last: int) -> Iterator[LogEntry]:
    """The entries from one version to another, both included."""
    return (read_entry(store, log, version) for version in range(first, last + 1))


def vouch(store: Store, log: str, version: int) -> Described:
    """What a commit on top of `version` says of the entries before it: links up to that version."""
    if version < 0:
        return {}
    _, reach = _vouched(store, log, version)
    links = {str(n): _vouched(store, log, n)[0] for n in range(reach + 1, version + 1)}
    return {"linked_to": version, "links": links}


def describe(facts: Described) -> Described:
    """A commit's own description, with the digest over it that makes it self-evident."""
    description = {"format": FORMAT, **facts}
    return description | {"digest": digest_of(description)}


def digest_of(described: Mapping[str, Any]) -> str:
    """SHA-256 over a description's canonical JSON, its own digest left out."""
    rest = {key: value for key, value in described.items() if key != "digest"}
    return hashlib.sha256(canonical(rest)).hexdigest()


def milliseconds() -> int:
    """The time, as Delta's log gives it: milliseconds since the epoch.

    Keys expire by date (seal.py). A clock that has lost the date gives EARLIEST; one so far ahead that the
    keys of facts would seem expired, and facts could be written twice, is a LakeError.
    """
    at = int(time.time() * 1000)
    if at >= LATEST:
        raise LakeError(f"this host's clock says {time.strftime('%Y-%m-%d')}: set it before going on")
    return max(at, EARLIEST)


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no spaces: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _vouched(store: Store, log: str, version: int) -> tuple[str, int]:
    """An entry's hash when it was first seen, and the version up to which it and earlier ones vouch."""
    key = (str(store.home), log, version)
    if key not in _seen:
        entry = read_entry(store, log, version)
        reach = entry.described.get("linked_to")
        _seen[key] = (entry.sha256, reach if isinstance(reach, int) and reach < version else version - 1)
        if len(_seen) > MOST_SEEN:
            del _seen[next(iter(_seen))]
    return _seen[key]


def _parsed(name: str, data: bytes) -> Iterator[Mapping[str, Any]]:
    if not data.strip():
        raise LogDamaged(f"{name} is empty: a commit is lost; restore the file before going on")
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            action = json.loads(line)
        except (ValueError, RecursionError):
            action = None
        if not isinstance(action, dict):
            raise LogDamaged(f"{name} does not parse at line {number}: restore the file before going on")
        yield action
