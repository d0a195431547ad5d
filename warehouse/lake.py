"""The lake: where tables, snapshots, trainings and seals lie, and which files hold a table's rows.

lake.json             the format the lake was written in
tables/<name>/        one Delta table per kind of fact, partitioned by loop and round
snapshots/<id>/       frozen training sets
trainings/<id>/       what a fine-tuning job leaves: checkpoint, step ledger, result
models/<hashes>/      copies of models that were not trained here, each with its list <hashes>.json beside it
heads/                the hash of each log's newest entry; a note, no fact rests on it
seals/<loop>/         one seal a closed round, each naming the one before
locks/                who is at work; no fact rests on it
spare/                files being written; nothing in it matters
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.columns import Table
from schemas.errors import BadInput, LakeError, LogDamaged, SchemaMismatch
from schemas.tables import FORMAT, TABLES
from warehouse.delta.evolve import fitted, was_widened
from warehouse.delta.health import Sight, check_entries
from warehouse.delta.journal import describe
from warehouse.store.face import Store
from warehouse.store.open import open_store
from warehouse.store.trouble import one_line

EXPIRY = {
    "delta.setTransactionRetentionDuration": "interval 10000 days"
}  # see seal.py: keys of sealed rounds
CONFIGURATION: Mapping[str, str | None] = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "10",
    **EXPIRY,
}

TRIES = 10  # at widening a table that others write to

Where = Mapping[str, str | int | Sequence[str] | Sequence[int]]


@dataclass(frozen=True)
class Sources:
    """Files that hold a table's rows; `mixed`: some were written before a column was added."""

    paths: list[str]
    mixed: bool


class Lake:
    """A lake that exists and has this version's format, in a folder or a bucket."""

    def __init__(self, where: Path | str) -> None:
        self.store = open_store(where)
        self._handles: dict[str, tuple[Sight, DeltaTable]] = {}  # handles that nobody uses now
        _check_format(self.store)

    @property
    def where(self) -> str:
        """The lake's address, as a person gives it."""
        return self.store.where

    @property
    def root(self) -> Path:
        """The lake's folder; for a bucket, the folder on this machine that holds what was fetched."""
        return self.store.home

    @classmethod
    def create(cls, where: Path | str) -> Lake:
        """Open the lake, making an empty one where nothing is."""
        if not cls.check(where):
            store = open_store(where)
            try:
                store.home.mkdir(parents=True, exist_ok=True)
                store.replace("lake.json", json.dumps({"format": FORMAT}).encode() + b"\n")
            except OSError as error:
                raise BadInput(f"no lake can be made at {store.where}: {error.strerror}") from None
        return cls(where)

    @classmethod
    def check(cls, where: Path | str) -> bool:
        """Whether a lake is there; BadInput where none is and none can be made there."""
        store = open_store(where)
        if store.entry("lake.json") is not None:
            return True
        _refuse_foreign(store)
        return False

    def table_path(self, name: str) -> Path:
        """The folder of a Delta table on this machine, whether or not it has rows yet."""
        return self.root / "tables" / name

    def log(self, name: str) -> str:
        """The name of a table's Delta log in the lake."""
        return f"tables/{name}/_delta_log"

    def place(self, name: str) -> Path:
        """A local folder with the files that lie below a name: the lake's own, or fetched copies."""
        self.store.local([entry.name for entry in self.store.entries(name)])
        return self.root / name

    def publish(self, name: str) -> None:
        """Bring a local folder of the lake, complete now, to where the lake lies, durably."""
        files = [path for path in sorted((self.root / name).rglob("*")) if path.is_file()]
        self.store.publish([path.relative_to(self.root).as_posix() for path in files])

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table at a version (None: the newest), its log checked; None before its first row."""
        if check_entries(self.store, self.log(name)) is None:
            return None
        return self._opened(name, version)

    @contextmanager
    def at_hand(self, name: str) -> Iterator[DeltaTable | None]:
        """The newest Delta table (as `open`) on a handle that the block has to itself.

        A handle of an earlier block is brought up to date, which takes a tenth of the work of opening; where
        the log did more than grow, it is opened anew.
        """
        sight = check_entries(self.store, self.log(name))
        handle = self._handles.pop(name, None)
        delta = None
        if sight is not None:
            delta = _refreshed(*handle, sight) if handle is not None else None
            delta = delta or self._opened(name)
        try:
            yield delta
        finally:
            if sight is not None and delta is not None and delta.version() == sight.version:
                self._handles[name] = sight, delta  # one that is ahead has read entries that were not checked

    def _opened(self, name: str, version: int | None = None) -> DeltaTable | None:
        place = self.store.delta(f"tables/{name}")
        try:
            return DeltaTable(place, version=version, storage_options=self._options())
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise LogDamaged(f"table {name} at {place} does not open: {one_line(error)}") from None
        except OSError as error:
            raise LakeError(f"table {name} at {place} cannot be read: {one_line(error)}") from None

    def open_or_create(self, table: Table) -> DeltaTable:
        """The Delta table, with every column of ours: created empty where it does not exist, widened where
        it is older. Two creators end with one table.
        """
        for _ in range(TRIES):
            delta, why = self.open(table.name), ""
            if delta is None:
                why = self._create(table)
                delta = self.open(table.name)
            if delta is None:
                raise LakeError(f"table {table.name} could not be created in {self.where}: {why}")
            if fitted(delta, table):
                return delta
        raise LakeError(f"table {table.name} could not be widened in {self.where}; run again to go on")

    def _create(self, table: Table) -> str:
        """Create a table; why that failed, if it did: another creator may come first."""
        self.store.make(f"tables/{table.name}")
        metadata = {"ratchet": describe({"made": table.name})}
        try:
            DeltaTable.create(
                self.store.delta(f"tables/{table.name}"),
                table.arrow,
                mode="ignore",
                partition_by=["loop", "round"],
                configuration=CONFIGURATION,
                storage_options=self._options(),
                commit_properties=CommitProperties(custom_metadata=metadata),
            )
        except (DeltaError, OSError) as error:
            return one_line(error)
        return ""

    def files(self, name: str, where: Where | None = None, version: int | None = None) -> list[str]:
        """Local paths of the data files that may hold rows with these values, by statistics.

        `where` maps a column to a value or to a list of values; files are pruned, rows are not.
        """
        return self.sources(name, where, version).paths

    def file_names(self, name: str, where: Where | None = None, version: int | None = None) -> list[str]:
        """As `files`: their names in the lake, nothing fetched."""
        with self._table_at(name, version) as delta:
            return [] if delta is None else names_of(delta, name, where)

    def sources(self, name: str, where: Where | None = None, version: int | None = None) -> Sources:
        """As `files`, with whether they differ in their columns."""
        sizes = [len(value) for value in (where or {}).values() if not isinstance(value, str | int)]
        if 0 in sizes:
            return Sources([], False)
        with self._table_at(name, version) as delta:
            if delta is None:
                return Sources([], False)
            names, mixed = names_of(delta, name, where), was_widened(delta)
        return Sources([str(path) for path in self.store.local(names)], mixed)

    def versions(self) -> dict[str, int]:
        """The newest version of every table that exists."""
        numbers = {}
        for name in TABLES:
            with self.at_hand(name) as delta:
                if delta is not None:
                    numbers[name] = delta.version()
        return numbers

    def _table_at(self, name: str, version: int | None) -> AbstractContextManager[DeltaTable | None]:
        """The table at a version, to be read and not changed."""
        return self.at_hand(name) if version is None else nullcontext(self.open(name, version))

    def _options(self) -> dict[str, str] | None:
        return dict(self.store.options) if self.store.options is not None else None


def _refreshed(before: Sight, delta: DeltaTable, now: Sight) -> DeltaTable | None:
    """A kept handle at the log's newest version; None where it must be opened anew."""
    if not now.follows(before):
        return None
    try:
        if now != before:
            delta.update_incremental()
    except (DeltaError, OSError):
        return None
    return delta


def names_of(delta: DeltaTable, table: str, where: Where | None = None) -> list[str]:
    """Names in the lake of an open table's files, pruned by `where`."""
    predicate = [_filter(column, value) for column, value in (where or {}).items() if _prunes(value)]
    uris = delta.file_uris(file_pruning_predicate=predicate or None)
    marker = f"/tables/{table}/"
    return sorted(f"tables/{table}/" + unquote(uri).rpartition(marker)[2] for uri in uris)


def _prunes(value: str | int | Sequence[str] | Sequence[int]) -> bool:
    """Whether Delta prunes files rightly by a value: it was seen to fail for empty and for non-ASCII text."""
    each = [value] if isinstance(value, str | int) else value
    return all(not isinstance(one, str) or (one != "" and one.isascii()) for one in each)


def _filter(column: str, value: object) -> tuple[str, str, object]:
    if isinstance(value, str | int):
        return (column, "=", value)
    return (column, "in", value)


def _check_format(store: Store) -> None:
    try:
        marker = store.get("lake.json")
    except (FileNotFoundError, NotADirectoryError):
        raise LakeError(
            f"no lake at {store.where}: `ratchet run rft --lake {store.where}` makes one"
        ) from None
    try:
        number = json.loads(marker)["format"]
    except (ValueError, KeyError, TypeError):
        raise SchemaMismatch(f"{store.where}/lake.json does not say which format the lake has") from None
    if number != FORMAT:
        raise SchemaMismatch(
            f"the lake at {store.where} has schema version {number}; this Ratchet reads and writes {FORMAT}"
        )


def _refuse_foreign(store: Store) -> None:
    if "%" in store.where:
        raise BadInput(f"a lake's path cannot hold '%', which Delta reads as an escape: {store.where}")
    if store.taken():
        raise BadInput(f"{store.where} holds other files and no lake.json: choose an empty folder for a lake")
