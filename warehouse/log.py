"""The log: facts are appended once by unit of work, durable and hashed at birth, and never change.

Covered: a unit lands exactly once among any number of writers, on one disk or in one bucket, whatever is
killed; an acknowledged append is durable; every data file's SHA-256 stands in its name and in its commit;
a round that is sealed takes no more. A file that waited long for its commit is written again, since
`maintain` may have cleared it away. Not covered: a writer that is held up for an hour within its commit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.columns import Table
from schemas.errors import CommitOutcomeUnknown, LakeError, LogDamaged, RoundSealed, UnitConflict
from schemas.tables import TABLES
from schemas.units import Unit
from warehouse.delta.complete import complete
from warehouse.delta.datafile import PARTITION, DataFile, write_rows
from warehouse.delta.evolve import fitted
from warehouse.delta.heads import checkpoint_name, note_head, read_head
from warehouse.delta.health import last_checkpoint
from warehouse.delta.journal import Actions, describe, entry_name, milliseconds, version_of, vouch
from warehouse.delta.seals import closed_before, compacted_units, find_seal, last_seal
from warehouse.lake import Lake, names_of
from warehouse.query import read
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors, one_line

ATTEMPTS = 40  # losing to another writer is no failure, and among many one may lose often in a row
PAUSE = 0.05  # seconds before the second try, at most; twice as long before each further one
LONGEST_PAUSE = 2.0
STALE = 1800.0  # seconds after which a file that waits for its commit is written again (maintain.LEAST_HOURS)

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
        with ExitStack() as stack:
            with self._disk(table):
                delta = stack.enter_context(self.lake.at_hand(table))
                missing = list(units) if delta is None else self._missing_from(delta, units, table)
            if missing:
                rows = complete(kind, missing, compute(missing))
                with self._disk(table), ThreadPoolExecutor(1) as beside:  # sorted while the disk is busy
                    ordered = beside.submit(rows.sort, kind.id)
                    if len(self._append(kind, missing, rows, delta)) == len(units):
                        return ordered.result()
        with self._disk(table):
            return self.rows(units, table)

    def holds(self, unit: Unit, table: str) -> bool:
        """Whether the log holds the unit; what it holds is durable before this says so."""
        with self._disk(table), self.lake.at_hand(table) as delta:
            return delta is not None and not self._missing_from(delta, [unit], table)

    def rows(self, units: Sequence[Unit], table: str) -> pl.DataFrame:
        """The rows that the log holds of these units, in order of id."""
        where: dict[str, str | list[str] | list[int]] = {
            "unit": [unit.key for unit in units],
            "loop": sorted({unit.loop for unit in units}),
            "round": sorted({unit.round for unit in units}),
        }
        return read(self.lake, table, where).sort(TABLES[table].id)

    def commit(
        self, delta: DeltaTable, kind: Table, actions: Actions, extra: Mapping[str, object] | None = None
    ) -> None:
        """Commit on top of an open table, vouching for the entries before; durable when it returns.

        DeltaError where it did not land, or may not have.
        """
        self.settle(kind.name, delta.version())
        properties = self.properties(delta, kind, actions, extra)
        delta.create_write_transaction(
            actions.delta, "append", kind.arrow, PARTITION, commit_properties=properties
        )
        reached(f"append {kind.name}: committed")
        self.settle(kind.name, self._newest(delta, kind.name))

    def properties(
        self, delta: DeltaTable, kind: Table, actions: Actions, extra: Mapping[str, object] | None = None
    ) -> CommitProperties:
        """The properties of a commit: its keys, and its description of itself with `extra`."""
        description = self._vouched_for(delta, kind.name) | dict(extra or {})
        description |= {"files": {file.path: file.facts for file in actions.added}, "actions": actions.digest}
        return CommitProperties(
            custom_metadata={"ratchet": describe(description)},
            app_transactions=[Transaction(*key) for key in actions.keys],
        )

    def _disk(self, table: str) -> AbstractContextManager[None]:
        return disk_errors(f"table {table} in {self.lake.where}")

    def _newest(self, delta: DeltaTable, table: str) -> int:
        """The log's newest version: a handle keeps the one that it was opened at, whatever it commits."""
        log = self.lake.log(table)
        names = [entry.name for entry in self.lake.store.numbered(log, delta.version() + 1)]
        return max((version_of(name) for name in names), default=delta.version())

    def settle(self, table: str, version: int) -> None:
        """Sync log entries up to `version`, and checkpoints, which delta-rs does not; note the hash of the
        newest entry, which no later one vouches for yet.
        """
        log = self.lake.log(table)
        newest = self._synced.get(table)
        if newest is not None and newest >= version:
            return
        if newest is None:  # a killed writer may have made the folder, and entries that nobody synced
            self.lake.store.make(log)
        first = last_checkpoint(self.lake.store, log) if newest is None else newest + 1
        names = [f"{log}/_last_checkpoint"]
        for number in range(max(first, 0), version + 1):
            names += [entry_name(log, number), checkpoint_name(log, number)]
        self.lake.store.settle(names)
        with suppress(OSError, LakeError):  # a note: what it says can be told anew
            note_head(self.lake.store, log, version)
        self._synced[table] = version

    def _vouched_for(self, delta: DeltaTable, table: str) -> dict[str, object]:
        """What a commit says of earlier commits, and of a checkpoint that this process has not recorded."""
        store, log = self.lake.store, self.lake.log(table)
        description: dict[str, object] = dict(vouch(store, log, delta.version()))
        newest = last_checkpoint(store, log)
        if newest > self._vouched.get(table, -1):
            name = checkpoint_name(log, newest)
            digest, head = store.digest(name), read_head(store, log)
            if head is not None and head.checkpoint == newest and head.checkpoint_hash != digest:
                raise LogDamaged(f"{name} was changed since it was written: see `ratchet verify`")
            description["checkpoints"] = {name.rpartition("/")[2]: digest}
            self._vouched[table] = newest
        return description

    def _missing_from(self, delta: DeltaTable, units: Sequence[Unit], table: str) -> list[Unit]:
        missing = [unit for unit in units if delta.transaction_version(unit.key) is None]
        if len(missing) < len(units):
            self.settle(table, delta.version())
        closed = {loop: self._closed(delta, loop) for loop in {unit.loop for unit in missing}}
        return [u for u in missing if u.round >= closed[u.loop] or not self._sealed(delta, u, table)]

    def _closed(self, delta: DeltaTable, loop: str) -> int:
        """The number of a loop's closed rounds: by the table's key, or by the last seal if that is older."""
        closed = closed_before(delta, loop)
        if closed == 0 and (seal := last_seal(self.lake.store, loop)):
            return seal.round + 1
        return closed

    def _sealed(self, delta: DeltaTable, unit: Unit, table: str) -> bool:
        """Whether a sealed round holds the unit, whose key is gone; RoundSealed where it does not."""
        seal = find_seal(self.lake.store, unit.loop, unit.round)
        log, number = self.lake.log(table), unit.round
        units = (
            compacted_units(self.lake.store, log, delta.version(), unit.loop, number)
            if seal is None
            else seal.units(table)
        )
        if unit.key in units:
            return True
        raise RoundSealed(f"round {unit.round} of loop {unit.loop} is sealed: {table} takes no {unit.key}")

    def _append(
        self, kind: Table, units: Sequence[Unit], rows: pl.DataFrame, handle: DeltaTable | None
    ) -> list[Unit]:
        """Append what the log does not hold; returns the units whose rows are ours.

        The look and the commit share one handle: a commit conflicts with what came after its handle was
        opened, and with nothing that its handle had seen. `handle` is that of the first look.
        """
        missing, in_file, file, written = list(units), list[Unit](), None, 0.0
        for attempt in range(ATTEMPTS):
            try:
                with self._at_hand(kind, handle if attempt == 0 else None) as delta:
                    missing = missing if delta is handle else self._missing_from(delta, missing, kind.name)
                    if not missing:
                        break
                    if in_file != missing or time.time() - written > STALE:
                        self._drop(file)
                        file = self._write(kind, missing, rows, whole=missing == list(units))
                        in_file, written = missing, time.time()
                    self._commit(delta, kind, file, missing)
                    return missing
            except RoundSealed:
                self._drop(file)
                raise
            except (DeltaError, OSError) as error:
                if self._landed(kind, file):
                    return missing
                if not isinstance(error, CommitFailedError):  # it may yet land: its file must stay
                    raise CommitOutcomeUnknown(
                        f"table {kind.name}: {one_line(error)}; run again to go on"
                    ) from None
                time.sleep(random.uniform(0, min(LONGEST_PAUSE, PAUSE * 2**attempt)))  # noqa: S311
        self._drop(file)
        if missing:
            raise CommitOutcomeUnknown(
                f"table {kind.name}: no commit in {ATTEMPTS} tries; run again to go on"
            )
        return []

    @contextmanager
    def _at_hand(self, kind: Table, handle: DeltaTable | None) -> Iterator[DeltaTable]:
        """The handle of an earlier look where it has all our columns, else one of a new look."""
        if handle is not None and fitted(handle, kind):
            yield handle
            return
        with self.lake.at_hand(kind.name) as delta:
            yield delta if delta is not None and fitted(delta, kind) else self.lake.open_or_create(kind)

    def _write(
        self, kind: Table, units: Sequence[Unit], rows: pl.DataFrame, *, whole: bool
    ) -> DataFile | None:
        """Write the rows of some units, which are all that there are where `whole` says so."""
        if not whole:
            rows = rows.filter(pl.col("unit").is_in([unit.key for unit in units]))
        try:
            file = write_rows(self.lake.store, kind, rows)
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
