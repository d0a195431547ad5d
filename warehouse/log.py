"""The log: facts are appended once by unit of work, durable and hashed at birth, and never change.

Covered: a unit lands exactly once among any number of writers on one local disk, whatever is killed;
an acknowledged append is on the disk; every data file's SHA-256 stands in its commit. Not covered
here: compaction, seals and damage to files that a checkpoint has absorbed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from schemas.errors import CommitOutcomeUnknown, UnitConflict
from schemas.tables import FORMAT, TABLES, Table
from schemas.units import Unit
from warehouse.durable import make_folder, sync, write_new
from warehouse.fault import reached
from warehouse.health import last_checkpoint
from warehouse.lake import Lake
from warehouse.query import read

ATTEMPTS = 10
PARTITION = ["loop", "round"]

Compute = Callable[[], pl.DataFrame]
ComputeEach = Callable[[Sequence[Unit]], Sequence[pl.DataFrame]]


class Log:
    """Appends to a lake. `once` is the one primitive that every step of every round goes through."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._synced: dict[str, int] = {}  # table -> newest version known to be on the disk

    def once(self, unit: Unit, table: str, compute: Compute) -> pl.DataFrame:
        """The unit's rows of a table: read if the log holds them, else computed and appended once.

        `compute` gives the table's own columns; the shared ones are added. If another writer wins
        the race for the unit, its rows are returned and ours are dropped. Rows come in order of id.
        """
        return self.once_each([unit], table, lambda _: [compute()])

    def once_each(self, units: Sequence[Unit], table: str, compute: ComputeEach) -> pl.DataFrame:
        """As `once` for several units of one loop and round: those not held are computed together
        and appended by one commit. Returns the rows of all units, in order of id.
        """
        kind = TABLES[table]
        missing = self._missing(units, table)
        made: Sequence[pl.DataFrame] = compute(missing) if missing else []
        frames = {u: _complete(kind, u, rows) for u, rows in zip(missing, made, strict=True)}
        ours = self._append(kind, frames)
        if units and len(ours) == len(units):
            return pl.concat(frames.values()).sort(kind.id)
        return self.rows(units, table)

    def holds(self, unit: Unit, table: str) -> bool:
        """Whether the log holds the unit; what it holds is on the disk before this says so."""
        return not self._missing([unit], table)

    def rows(self, units: Sequence[Unit], table: str) -> pl.DataFrame:
        """The rows that the log holds of these units, in order of id."""
        where: dict[str, str | list[str] | list[int]] = {
            "unit": [unit.key for unit in units],
            "loop": sorted({unit.loop for unit in units}),
            "round": sorted({unit.round for unit in units}),
        }
        return read(self.lake, table, where).sort(TABLES[table].id)

    def _missing(self, units: Sequence[Unit], table: str) -> list[Unit]:
        delta = self.lake.open(table)
        return list(units) if delta is None else self._missing_from(delta, units, table)

    def _missing_from(self, delta: DeltaTable, units: Sequence[Unit], table: str) -> list[Unit]:
        missing = [unit for unit in units if delta.transaction_version(unit.key) is None]
        if len(missing) < len(units):
            self._sync_log(table, delta.version())
        return missing

    def _append(self, kind: Table, frames: Mapping[Unit, pl.DataFrame]) -> list[Unit]:
        """Append what the log does not hold; returns the units whose rows are ours."""
        if not frames:
            return []
        folder = self.lake.table_path(kind.name)
        left = dict(frames)
        for _ in range(ATTEMPTS):
            # The look and the commit share one handle: a commit conflicts with what came after its
            # handle was opened, and with nothing that its handle had seen.
            delta = self.lake.open_or_create(kind)
            left = {unit: left[unit] for unit in self._missing_from(delta, list(left), kind.name)}
            if not left:
                return []
            file = _write_file(folder, kind, left)
            try:
                _commit(delta, folder, kind, file, list(left))
                reached(f"append {kind.name}: committed")
                self._sync_log(kind.name, delta.version())
                return list(left)
            except DeltaError as error:
                if not self._settle(kind, file, error):
                    continue
                return list(left)
        raise CommitOutcomeUnknown(f"table {kind.name}: no commit in {ATTEMPTS} tries; run again to go on")

    def _settle(self, kind: Table, file: DataFile | None, error: DeltaError) -> bool:
        """After a failed commit: did it land all the same? If not, our file goes and we look again."""
        landed = file is not None and str(file.path) in self.lake.files(kind.name)
        if not landed and file is not None:
            file.path.unlink(missing_ok=True)
        if not landed and not isinstance(error, CommitFailedError):
            raise CommitOutcomeUnknown(f"table {kind.name}: {_line(error)}; run again to go on") from None
        return landed

    def _sync_log(self, table: str, version: int) -> None:
        """Bring log entries up to `version`, and checkpoints, to the disk; delta-rs does not."""
        log = self.lake.table_path(table) / "_delta_log"
        newest = self._synced.get(table)
        first = last_checkpoint(log) if newest is None else newest + 1
        if newest is not None and newest >= version:
            return
        for number in range(max(first, 0), version + 1):
            for name in (f"{number:020d}.json", f"{number:020d}.checkpoint.parquet"):
                if (log / name).exists():
                    sync(log / name)
        if (log / "_last_checkpoint").exists():
            sync(log / "_last_checkpoint")
        sync(log)
        self._synced[table] = version


@dataclass(frozen=True)
class DataFile:
    """One Parquet file on the disk that no commit names yet."""

    path: Path
    partition: Mapping[str, str]
    rows: int
    size: int
    sha256: str
    statistics: str


def _complete(kind: Table, unit: Unit, rows: pl.DataFrame) -> pl.DataFrame:
    """The unit's rows with the shared columns, cast to the table's schema, or a UnitConflict."""
    unknown = set(rows.columns) - set(kind.own_polars)
    if unknown:
        raise UnitConflict(f"unit {unit.key}: table {kind.name} has no column {min(unknown)!r}")
    shared = [
        pl.lit(unit.loop).alias("loop"),
        pl.lit(unit.round, pl.Int64).alias("round"),
        pl.lit(unit.key).alias("unit"),
        pl.lit(datetime.now(UTC)).alias("recorded_at"),
    ]
    absent = [pl.lit(None).alias(name) for name in kind.own_polars if name not in rows.columns]
    frame = rows.with_columns(*shared, *absent).select(list(kind.polars))
    try:
        frame = frame.cast(kind.polars)
    except pl.exceptions.PolarsError as error:
        raise UnitConflict(f"unit {unit.key}, table {kind.name}: {_line(error)}") from None
    for column in kind.columns:
        if not column.nullable and frame[column.name].null_count():
            raise UnitConflict(f"unit {unit.key}: {kind.name}.{column.name} lacks a value")
    if frame[kind.id].n_unique() < frame.height:
        twice = frame[kind.id].filter(frame[kind.id].is_duplicated())[0]
        raise UnitConflict(f"unit {unit.key}: {kind.id} {twice} stands twice")
    return frame


def _write_file(folder: Path, kind: Table, frames: Mapping[Unit, pl.DataFrame]) -> DataFile | None:
    """Write the units' rows as one synced Parquet file; None where they have no row."""
    unit = next(iter(frames))
    rows = pl.concat(frames.values())
    if rows.is_empty():
        return None
    schema = pa.schema([field for field in kind.arrow if field.name not in PARTITION])
    table = rows.drop(PARTITION).to_arrow().cast(schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    place = folder / f"loop={unit.loop}" / f"round={unit.round}"
    make_folder(place, folder)
    path = place / f"part-{uuid4().hex}.parquet"
    write_new(path, memoryview(data))
    reached(f"append {kind.name}: file written")
    sync(place)
    return DataFile(
        path=path,
        partition={"loop": unit.loop, "round": str(unit.round)},
        rows=rows.height,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        statistics=_statistics(rows, kind),
    )


def _statistics(rows: pl.DataFrame, kind: Table) -> str:
    low = {c: v for c in kind.statistics if (v := rows[c].min()) is not None}
    high = {c: v for c in kind.statistics if (v := rows[c].max()) is not None}
    nulls = {c: rows[c].null_count() for c in kind.statistics}
    return json.dumps({"numRecords": rows.height, "minValues": low, "maxValues": high, "nullCount": nulls})


def _commit(
    delta: DeltaTable, folder: Path, kind: Table, file: DataFile | None, units: Sequence[Unit]
) -> None:
    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = []
    described: dict[str, object] = {"format": FORMAT, "units": [unit.key for unit in units]}
    if file is not None:
        name = file.path.relative_to(folder).as_posix()
        actions = [AddAction(name, file.size, file.partition, now, True, file.statistics)]
        described["files"] = {name: {"sha256": file.sha256, "size": file.size, "rows": file.rows}}
    properties = CommitProperties(
        custom_metadata={"ratchet": described},
        app_transactions=[Transaction(unit.key, 1, now) for unit in units],
    )
    delta.create_write_transaction(
        actions, "append", kind.arrow, ["loop", "round"], commit_properties=properties
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
