"""The log: facts are appended once by unit of work, durable and hashed at birth, and never change.

Covered: a unit lands exactly once among any number of writers, on one disk or in one bucket, whatever is
killed; an acknowledged append is durable; every data file's SHA-256 stands in its name and in its commit;
a round that is sealed takes no more. Not covered: a writer that sleeps for a day between writing its file
and committing it, whose file `maintain` has by then cleared away.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.errors import CommitOutcomeUnknown, LakeError, RoundSealed, UnitConflict
from schemas.tables import TABLES, Table
from schemas.units import Unit
from warehouse.datafile import PARTITION, DataFile, write_rows
from warehouse.fault import reached
from warehouse.heads import note_head
from warehouse.health import last_checkpoint
from warehouse.journal import Actions, describe, entry_name, milliseconds, vouch
from warehouse.lake import Lake, names_of
from warehouse.query import read
from warehouse.reason import reason
from warehouse.seals import closed_before, find_seal

ATTEMPTS = 10
PAUSE = 0.05  # seconds before the second try, at most; twice as long before each further one
LONGEST_PAUSE = 2.0

Compute = Callable[[], pl.DataFrame]
ComputeEach = Callable[[Sequence[Unit]], Sequence[pl.DataFrame]]


class Log:
    """Appends to a lake. `once` is the one primitive that every step of every round goes through."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._synced: dict[str, int] = {}  # table -> newest version known to be durable
        self._vouched: dict[str, int] = {}  # table -> newest checkpoint this process has put on record

    def once(self, unit: Unit, table: str, compute: Compute) -> pl.DataFrame:
        """The unit's rows of a table: read if the log holds them, else computed and appended once.

        `compute` gives the table's own columns; the shared ones are added. If another writer wins
        the race for the unit, its rows are returned and ours are dropped. Rows come in order of id.
        RoundSealed where the unit's round is sealed and does not hold it.
        """
        return self.once_each([unit], table, lambda _: [compute()])

    def once_each(self, units: Sequence[Unit], table: str, compute: ComputeEach) -> pl.DataFrame:
        """As `once` for several units of one loop and round: those not held are computed together
        and appended by one commit. Returns the rows of all units, in order of id.
        """
        if len({(unit.loop, unit.round) for unit in units}) > 1:
            raise UnitConflict("units of one append belong to one loop and one round")
        kind = TABLES[table]
        missing = self._missing(units, table)
        made: Sequence[pl.DataFrame] = compute(missing) if missing else []
        frames = {u: _complete(kind, u, rows) for u, rows in zip(missing, made, strict=True)}
        ours = self._append(kind, frames)
        if units and len(ours) == len(units):
            return pl.concat(frames.values()).sort(kind.id)
        return self.rows(units, table)

    def holds(self, unit: Unit, table: str) -> bool:
        """Whether the log holds the unit; what it holds is durable before this says so."""
        return not self._missing([unit], table)

    def rows(self, units: Sequence[Unit], table: str) -> pl.DataFrame:
        """The rows that the log holds of these units, in order of id."""
        where: dict[str, str | list[str] | list[int]] = {
            "unit": [unit.key for unit in units],
            "loop": sorted({unit.loop for unit in units}),
            "round": sorted({unit.round for unit in units}),
        }
        return read(self.lake, table, where).sort(TABLES[table].id)

    def commit(
        self, delta: DeltaTable, kind: Table, actions: Actions, said: Mapping[str, object] | None = None
    ) -> None:
        """Commit on top of an open table, vouching for the entries before; durable when it returns.

        CommitFailedError where it did not land, CommitOutcomeUnknown where it may have.
        """
        properties = self.properties(delta, kind, actions, said)
        with committing(kind):
            delta.create_write_transaction(
                actions.delta, "append", kind.arrow, PARTITION, commit_properties=properties
            )
        reached(f"append {kind.name}: committed")
        self.settle(kind.name, delta.version())

    def properties(
        self, delta: DeltaTable, kind: Table, actions: Actions, said: Mapping[str, object] | None = None
    ) -> CommitProperties:
        """What any commit of ours carries: its keys, and its description of itself."""
        told = self._vouched_for(delta, kind.name) | dict(said or {})
        told |= {"files": {file.path: file.told for file in actions.added}, "actions": actions.digest}
        return CommitProperties(
            custom_metadata={"ratchet": describe(told)},
            app_transactions=[Transaction(*key) for key in actions.keys],
        )

    def settle(self, table: str, version: int) -> None:
        """Make log entries up to `version`, and checkpoints, durable, which delta-rs does not; note the hash
        of the newest, which no later entry vouches for yet.
        """
        log = self.lake.log(table)
        newest = self._synced.get(table)
        if newest is not None and newest >= version:
            return
        first = last_checkpoint(self.lake.store, log) if newest is None else newest + 1
        names = [f"{log}/_last_checkpoint"]
        for number in range(max(first, 0), version + 1):
            names += [entry_name(log, number), f"{log}/{number:020d}.checkpoint.parquet"]
        self.lake.store.settle(names)
        note_head(self.lake.store, log, version)
        self._synced[table] = version

    def _vouched_for(self, delta: DeltaTable, table: str) -> dict[str, object]:
        """What a commit says of those before it, and of a checkpoint that this process has not told of."""
        store, log = self.lake.store, self.lake.log(table)
        said: dict[str, object] = dict(vouch(store, log, delta.version()))
        newest = last_checkpoint(store, log)
        if newest > self._vouched.get(table, -1):
            name = f"{newest:020d}.checkpoint.parquet"
            said["checkpoints"] = {name: store.digest(f"{log}/{name}")}
            self._vouched[table] = newest
        return said

    def _missing(self, units: Sequence[Unit], table: str) -> list[Unit]:
        delta = self.lake.open(table)
        return list(units) if delta is None else self._missing_from(delta, units, table)

    def _missing_from(self, delta: DeltaTable, units: Sequence[Unit], table: str) -> list[Unit]:
        missing = [unit for unit in units if delta.transaction_version(unit.key) is None]
        if len(missing) < len(units):
            self.settle(table, delta.version())
        return [unit for unit in missing if not self._sealed(delta, unit, table)]

    def _sealed(self, delta: DeltaTable, unit: Unit, table: str) -> bool:
        """Whether a sealed round holds the unit, whose key is gone; RoundSealed where it does not."""
        if unit.round >= closed_before(delta, unit.loop):
            return False
        seal = find_seal(self.lake.store, unit.loop, unit.round)
        if seal is not None and unit.key in seal.units(table):
            return True
        raise RoundSealed(f"round {unit.round} of loop {unit.loop} is sealed: {table} takes no {unit.key}")

    def _append(self, kind: Table, frames: Mapping[Unit, pl.DataFrame]) -> list[Unit]:
        """Append what the log does not hold; returns the units whose rows are ours."""
        left = dict(frames)
        file: DataFile | None = None
        written: list[Unit] = []
        for attempt in range(ATTEMPTS if left else 0):
            # The look and the commit share one handle: a commit conflicts with what came after its
            # handle was opened, and with nothing that its handle had seen.
            delta = self.lake.open_or_create(kind)
            try:
                left = {unit: left[unit] for unit in self._missing_from(delta, list(left), kind.name)}
            except RoundSealed:
                self._drop(file)
                raise
            if written != list(left):
                self._drop(file)
                file, written = self._write(kind, left), list(left)
            if not left:
                return []
            try:
                self._commit(delta, kind, file, written)
                return written
            except (CommitFailedError, CommitOutcomeUnknown) as error:
                if self._landed(kind, file):
                    return written
                if isinstance(error, CommitOutcomeUnknown):  # it may yet land: its file must stay
                    raise
                time.sleep(random.uniform(0, min(LONGEST_PAUSE, PAUSE * 2**attempt)))  # noqa: S311
        self._drop(file)
        if left:
            raise CommitOutcomeUnknown(
                f"table {kind.name}: no commit in {ATTEMPTS} tries; run again to go on"
            )
        return []

    def _write(self, kind: Table, frames: Mapping[Unit, pl.DataFrame]) -> DataFile | None:
        if not frames:
            return None
        try:
            file = write_rows(self.lake.store, kind, pl.concat(frames.values()))
        except OSError as error:
            why = error.strerror or str(error)
            raise LakeError(
                f"{kind.name} cannot be written in {self.lake.where}: {why}; nothing was recorded"
            ) from None
        reached(f"append {kind.name}: file written")
        return file

    def _commit(self, delta: DeltaTable, kind: Table, file: DataFile | None, units: Sequence[Unit]) -> None:
        at = milliseconds()
        actions = Actions(at, added=(file,) if file else (), keys=tuple((unit.key, 1, at) for unit in units))
        self.commit(delta, kind, actions, {"units": [unit.key for unit in units]})

    def _landed(self, kind: Table, file: DataFile | None) -> bool:
        """After a failed commit: did it land all the same?"""
        if file is None:
            return False  # the next look finds the units done, by us or by another: it is the same
        delta = self.lake.open(kind.name)
        if delta is None or file.name not in names_of(delta, kind.name, {"loop": file.partition["loop"]}):
            return False
        self.settle(kind.name, delta.version())
        return True

    def _drop(self, file: DataFile | None) -> None:
        """Clear away a file of ours whose commit was refused: no commit names it, none will."""
        if file is not None:
            self.lake.store.delete(file.name)


@contextmanager
def committing(kind: Table) -> Iterator[None]:
    """What goes wrong in a commit: CommitFailedError where it was refused, else CommitOutcomeUnknown."""
    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as error:
        raise CommitOutcomeUnknown(f"table {kind.name}: {reason(error)}; run again to go on") from None


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
        raise UnitConflict(f"unit {unit.key}, table {kind.name}: {reason(error)}") from None
    for column in kind.columns:
        if not column.nullable and frame[column.name].null_count():
            raise UnitConflict(f"unit {unit.key}: {kind.name}.{column.name} lacks a value")
    if frame[kind.id].n_unique() < frame.height:
        twice = frame[kind.id].filter(frame[kind.id].is_duplicated())[0]
        raise UnitConflict(f"unit {unit.key}: {kind.id} {twice} stands twice")
    return frame
