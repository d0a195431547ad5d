"""The lake on disk: where tables, snapshots and checkpoints lie, and which files hold a table's rows.

lake.json             the format the lake was written in
tables/<name>/        one Delta table per kind of fact, partitioned by loop and round
snapshots/<id>/       frozen training sets
trainings/<id>/       what a fine-tuning job leaves: checkpoint, step ledger, result
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.errors import BadInput, LakeError, LogDamaged, SchemaMismatch
from schemas.tables import FORMAT, TABLES, Table
from warehouse.durable import make_folder, replace, sync
from warehouse.health import check_entries

CONFIGURATION: Mapping[str, str | None] = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "10",
}

Where = Mapping[str, str | int | Sequence[str] | Sequence[int]]


class Lake:
    """A lake that exists and has this version's format. Cheap to make; it holds no handle."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        _check_format(self.root)

    @classmethod
    def create(cls, root: Path) -> Lake:
        """Open the lake at `root`, making an empty one where nothing is."""
        root = root.resolve()
        if not cls.check(root):
            try:
                root.mkdir(parents=True, exist_ok=True)
                sync(root.parent)
                replace(root / "lake.json", json.dumps({"format": FORMAT}).encode() + b"\n")
            except OSError as error:
                raise BadInput(f"no lake can be made at {root}: {error.strerror}") from None
        return cls(root)

    @classmethod
    def check(cls, root: Path) -> bool:
        """Whether a lake is there; BadInput where none is and none can be made there."""
        if (root / "lake.json").exists():
            return True
        _refuse_foreign(root)
        return False

    def table_path(self, name: str) -> Path:
        """The folder of a Delta table, whether or not it has rows yet."""
        return self.root / "tables" / name

    def folder(self, kind: str, name: str) -> Path:
        """A folder of the lake's own, such as ("snapshots", id); parents exist afterwards."""
        make_folder(self.root / kind, self.root)
        return self.root / kind / name

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table at a version (None: the newest), its log checked; None before its first row."""
        path = self.table_path(name)
        if not (path / "_delta_log").is_dir():
            return None
        check_entries(path / "_delta_log")
        try:
            return DeltaTable(path, version=version)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise LogDamaged(f"table {name} at {path} does not open: {_line(error)}") from None

    def open_or_create(self, table: Table) -> DeltaTable:
        """The Delta table, created empty where it does not exist; two creators end with one table."""
        found = self.open(table.name)
        if found is not None:
            return found
        path = self.table_path(table.name)
        make_folder(path, self.root)
        with suppress(DeltaError):  # another creator may come first
            DeltaTable.create(
                path,
                table.arrow,
                mode="ignore",
                partition_by=["loop", "round"],
                configuration=CONFIGURATION,
            )
        made = self.open(table.name)
        if made is None:
            raise LakeError(f"table {table.name} could not be created at {path}")
        return made

    def files(self, name: str, where: Where | None = None, version: int | None = None) -> list[str]:
        """Absolute paths of the data files that may hold rows with these values, by statistics.

        `where` maps a column to a value or to a list of values; files are pruned, rows are not.
        """
        delta = self.open(name, version)
        if delta is None:
            return []
        if any(isinstance(v, Sequence) and not isinstance(v, str) and not v for v in (where or {}).values()):
            return []
        predicate = [_filter(column, value) for column, value in (where or {}).items()]
        return sorted(unquote(uri) for uri in delta.file_uris(file_pruning_predicate=predicate or None))

    def versions(self) -> dict[str, int]:
        """The newest version of every table that exists."""
        opened = {name: self.open(name) for name in TABLES}
        return {name: delta.version() for name, delta in opened.items() if delta is not None}


def _filter(column: str, value: object) -> tuple[str, str, object]:
    if isinstance(value, str | int):
        return (column, "=", value)
    return (column, "in", value)


def _check_format(root: Path) -> None:
    marker = root / "lake.json"
    if not marker.is_file():
        raise LakeError(f"no lake at {root}: `ratchet run rft --lake {root}` makes one")
    try:
        found = json.loads(marker.read_text("utf-8"))["format"]
    except (ValueError, KeyError, TypeError):
        raise SchemaMismatch(f"{marker} does not say which format the lake has") from None
    if found != FORMAT:
        raise SchemaMismatch(
            f"the lake at {root} has schema version {found}; this Ratchet reads and writes {FORMAT}"
        )


def _refuse_foreign(root: Path) -> None:
    if "%" in str(root):
        raise BadInput(f"a lake's path cannot hold '%', which Delta reads as an escape: {root}")
    if root.exists() and not root.is_dir():
        raise BadInput(f"{root} is a file, not a folder for a lake")
    if root.is_dir() and any(not entry.name.startswith(".lake.json.") for entry in root.iterdir()):
        raise BadInput(f"{root} holds other files and no lake.json: choose an empty folder for a lake")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
