"""Sealing: when a round closes, its partitions are compacted once and put on record for ever.

The order makes it safe to be killed anywhere and done again, and safe beside running writers:
1. every table is closed to the round by a commit that also touches the table's metadata, so that Delta
   refuses any append that was begun before it; whoever looks again finds the key, and RoundSealed;
2. its files are hashed, then compacted by one commit that carries a key and lets the round's own keys expire;
3. the seal is written, as a file that must not exist; 4. its hash is put on record in table `rounds`.
A lock keeps two sealers from doing the same work; that only one lands rests on the keys.
The handle that closed a table also reads its files: no append of the round can come after it. Anything else
that came since, such as another sealer's compaction, makes the commit on that handle conflict, and the next
try looks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.columns import Table
from schemas.errors import CommitOutcomeUnknown, LogDamaged
from schemas.tables import TABLES
from warehouse.artifacts import complete
from warehouse.compact import check_live, compacted
from warehouse.delta.datafile import DataFile
from warehouse.delta.heads import CHECKPOINT
from warehouse.delta.history import History, history
from warehouse.delta.journal import Actions, LogEntry, milliseconds, read_entries, read_entry
from warehouse.delta.seals import (
    START,
    Seal,
    SealedFile,
    SealedTable,
    anchor_key,
    closed_before,
    closing_key,
    compaction_key,
    find_seal,
    last_seal,
    running_hash,
    seal_name,
)
from warehouse.lake import EXPIRY, Lake, Where, names_of
from warehouse.log import ATTEMPTS, Log
from warehouse.models.kept import find_copy
from warehouse.query import query, read
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors, one_line

LONG_AGO = 1  # a key of this date, in milliseconds, is dropped: no other is older than EXPIRY allows
Advance = Callable[[int], None]


def seal_rounds(log: Log, loop: str, advance: Advance = lambda _: None) -> list[Seal]:
    """Seal every closed round of a loop that is not sealed yet, oldest first; returns the new seals.

    `advance` is told of each table done. LogDamaged where a file to be sealed is not what was written.
    """
    with disk_errors(f"loop {loop} cannot be sealed"), log.lake.store.exclusive(f"seal-{loop}", wait=True):
        return [_seal(log, loop, number, advance) for number in unsealed(log.lake, loop)]


def sealable(lake: Lake) -> list[str]:
    """Loops that have a closed round without a seal on record."""
    loops = query(lake, "SELECT DISTINCT loop FROM rounds ORDER BY loop")["loop"].to_list()
    return [loop for loop in loops if unsealed(lake, loop)]


def unsealed(lake: Lake, loop: str) -> list[int]:
    """Closed rounds of a loop whose seals are not on record, oldest first."""
    with lake.at_hand("rounds") as delta:
        first = 0 if delta is None else int(delta.transaction_version(anchor_key(loop)) or 0)
    rounds = read(lake, "rounds", {"loop": loop})
    closed = rounds.filter(rounds["state"] != "started")["round"].unique().sort().to_list()
    return [number for number in closed if number >= first]


def _seal(log: Log, loop: str, number: int, advance: Advance) -> Seal:
    lake = log.lake
    seal = find_seal(lake.store, loop, number)
    if seal is None:
        before = last_seal(lake.store, loop)
        if number != (0 if before is None else before.round + 1):
            raise LogDamaged(f"loop {loop}: the seal before round {number} is missing from seals/{loop}")
        if before is not None:
            _check_on_record(lake, before)
        handles = {name: _close(log, table, loop, number) for name, table in TABLES.items()}
        reached("seal: closed")
        tables = {}
        for name, delta in handles.items():
            tables[name] = _sealed_table(log, delta, TABLES[name], loop, number, before)
            advance(1)
        seal = Seal(
            loop=loop,
            round=number,
            sealed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            previous=None if before is None else before.sha256,
            tables=tables,
            artifacts=tuple(_artifacts(lake, loop, number)),
        )
        with suppress(FileExistsError):  # a sealer on another host whose lease outlived its work
            lake.store.put_new(seal_name(loop, number), seal.data)
        seal = find_seal(lake.store, loop, number) or seal
        reached("seal: written")
    else:
        lake.store.settle([seal_name(loop, number)])  # a killed process may have left it unsynced
    _anchor(log, seal)
    return seal


def _check_on_record(lake: Lake, seal: Seal) -> None:
    """LogDamaged where a seal is not the one that the log has on record: nothing is sealed upon it."""
    table = seal.tables.get("rounds")
    name, number = lake.log("rounds"), 0 if table is None else table.version + 1
    with lake.at_hand("rounds") as delta:
        newest = -1 if delta is None else delta.version()
    while number <= newest:  # the first entries after those that it seals have it
        recorded = read_entry(lake.store, name, number).described.get("seal") or {}
        if (recorded.get("loop"), recorded.get("round")) == (seal.loop, seal.round):
            if recorded.get("sha256") == seal.sha256:
                return
            break
        number += 1
    raise LogDamaged(
        f"{seal_name(seal.loop, seal.round)} is not the seal that the log has on record: nothing is sealed "
        "upon it, see `ratchet verify`"
    )


def _close(log: Log, table: Table, loop: str, number: int) -> DeltaTable:
    """Close a table to a round: appends begun before conflict with this commit, later ones find its key.

    Returns the table as it is closed: with all that the round will ever hold of it.
    """
    delta = log.lake.open_or_create(table)
    for attempt in range(ATTEMPTS):
        if closed_before(delta, loop) > number:
            log.settle(table.name, delta.version())
            return delta
        at = milliseconds()
        actions = Actions(at, keys=((closing_key(loop), number + 1, at),))
        description = {"closed": {"loop": loop, "round": number}}
        with suppress(CommitFailedError):
            delta.alter.set_table_properties(
                EXPIRY | {"ratchet.closed": f"{loop}/{number}"},
                raise_if_not_exists=False,
                commit_properties=log.properties(delta, table, actions, description),
            )
        time.sleep(min(1.0, 0.01 * 2**attempt) if attempt else 0)
        delta.update_incremental()
    raise CommitOutcomeUnknown(
        f"table {table.name} could not be closed to round {number}; run again to go on"
    )


def _sealed_table(
    log: Log, delta: DeltaTable, table: Table, loop: str, number: int, before: Seal | None
) -> SealedTable:
    """Compact one closed table's part of a round, unless that was done, and say what it consists of."""
    store, name = log.lake.store, log.lake.log(table.name)
    earlier = None if before is None else before.tables.get(table.name)
    entries = list(read_entries(store, name, 0 if earlier is None else earlier.later, delta.version()))
    content = history(table.name, entries, loop, number)
    if content.files or content.units:
        closed = delta.version()
        delta = _compact(log, delta, table, content, loop, number)
        entries += read_entries(store, name, closed + 1, delta.version())
    return _as_sealed(log.lake, table, loop, number, earlier, entries, delta.version())


def _compact(
    log: Log, delta: DeltaTable, table: Table, history: History, loop: str, number: int
) -> DeltaTable:
    """Compact what a round's history holds, once: the key says whether that was done, here or by another.

    Returns the table after that.
    """
    for _ in range(ATTEMPTS):
        if int(delta.transaction_version(compaction_key(loop)) or 0) > number:
            return delta
        outputs = compacted(log.lake, table, history.files, loop, number)
        try:
            _commit(log, delta, table, outputs, history, loop, number)
        except (DeltaError, OSError) as error:
            _settle(log, table, outputs, error)
        delta.update_incremental()  # a handle keeps its version, whatever it commits
    raise CommitOutcomeUnknown(f"table {table.name}, round {number}: not compacted; run again to go on")


def _commit(
    log: Log,
    delta: DeltaTable,
    table: Table,
    outputs: Sequence[DataFile],
    history: History,
    loop: str,
    number: int,
) -> None:
    check_live(delta, table.name, history.files, loop, number)
    at = milliseconds()
    partition = {"loop": loop, "round": str(number)}
    actions = Actions(
        at,
        added=tuple(outputs),
        retired=tuple(
            DataFile(table.name, file.name, partition, file.rows or 0, file.size, file.sha256, "")
            for file in history.files
        ),
        keys=(
            (compaction_key(loop), number + 1, at),
            *((unit, 2, LONG_AGO) for unit in history.units),
        ),
        changes_data=False,
    )
    description = {"compacted": {"loop": loop, "round": number, "units": history.units}}
    log.commit(delta, table, actions, description)
    reached(f"seal {table.name}: compacted")


def _settle(log: Log, table: Table, outputs: Sequence[DataFile], error: Exception) -> None:
    """After a failed commit: our files go if it was refused, and stay if it landed or may yet."""
    delta = log.lake.open_or_create(table)
    names = names_of(delta, table.name, {"loop": outputs[0].partition["loop"]}) if outputs else []
    if any(file.name in names for file in outputs):
        log.settle(table.name, delta.version())
    elif isinstance(error, CommitFailedError):
        for file in outputs:
            log.lake.store.delete(file.name)
    else:
        raise CommitOutcomeUnknown(f"table {table.name}: {one_line(error)}; run again to go on") from None


def _as_sealed(
    lake: Lake,
    table: Table,
    loop: str,
    number: int,
    earlier: SealedTable | None,
    entries: Sequence[LogEntry],
    version: int,
) -> SealedTable:
    """What a round's part of a table consists of at a version, and where the table's log stands there."""
    first = 0 if earlier is None else earlier.version + 1
    content = history(table.name, entries, loop, number)
    fresh = (entry for entry in entries if entry.version >= first)
    return SealedTable(
        version=version,
        later=version + 1 if content.later is None else content.later,
        log=running_hash(START if earlier is None else earlier.log, fresh),
        rows=sum(file.rows or 0 for file in content.files),
        files=tuple(content.files),
        units=tuple(content.units),
        checkpoints=_checkpoints(lake, lake.log(table.name), first, version),
    )


def _checkpoints(lake: Lake, log: str, first: int, last: int) -> dict[str, str]:
    """Hashes of a log's checkpoint files from one version to another."""
    names = [entry.name.rpartition("/")[2] for entry in lake.store.entries(log)]
    fresh = [n for n in names if CHECKPOINT.fullmatch(n) and first <= int(n[:20]) <= last]
    return {name: lake.store.digest(f"{log}/{name}") for name in fresh}


def _artifacts(lake: Lake, loop: str, number: int) -> Iterator[SealedFile]:
    """Every file of the round's snapshots, trainings and models that lies in the lake."""
    place: Where = {"loop": loop, "round": number}
    folders = {str(path) for path in read(lake, "snapshots", place)["path"]}
    folders |= {f"trainings/{name}" for name in read(lake, "trainings", place)["training_id"]}
    rows = read(lake, "checkpoints", place).select("content_hash", "files_hash").iter_rows()
    models = {name for hashes in rows if (name := find_copy(lake, *hashes)) is not None}
    for name in sorted(folders | models):
        lists = [lake.store.entry(f"{name}.json")] if name in models else []
        for entry in (*complete(lake, name), *lists):
            if entry is not None:
                yield SealedFile(entry.name, None, entry.size, lake.store.digest(entry.name))


def _anchor(log: Log, seal: Seal) -> None:
    """Put a seal's hash on record in the log."""
    table = TABLES["rounds"]
    delta = log.lake.open_or_create(table)
    for _ in range(ATTEMPTS):
        if int(delta.transaction_version(anchor_key(seal.loop)) or 0) > seal.round:
            log.settle(table.name, delta.version())
            return
        at = milliseconds()
        actions = Actions(at, keys=((anchor_key(seal.loop), seal.round + 1, at),))
        description = {"seal": {"loop": seal.loop, "round": seal.round, "sha256": seal.sha256}}
        with suppress(CommitFailedError):
            log.commit(delta, table, actions, description)
            reached("seal: on record")
        delta.update_incremental()
    raise CommitOutcomeUnknown(f"the seal of round {seal.round} is not on record; run again to go on")
