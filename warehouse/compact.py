"""Compaction: a closed round's many files of a table become few, in the order look-ups prune by.

Covered: inputs are hashed before they are read, so that bit rot is found and not laundered; the rows that
come out are counted and their ids are distinct; only one of several compactors lands, by its key; memory
stays bounded. Not covered: rows are trusted as they were written.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from schemas.columns import Table
from schemas.errors import LogDamaged
from warehouse.delta.datafile import DataFile, file_name, folder_of, statistics, stored_schema
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake, Sources, names_of
from warehouse.query import connect
from warehouse.relations import relation
from warehouse.store.durable import sha256
from warehouse.store.fault import reached

ROW_GROUP = 32_768  # rows: small, so that a look-up by id reads little
FILE_ROWS = 2_000_000


def compacted(
    lake: Lake, table: Table, inputs: Sequence[SealedFile], loop: str, number: int
) -> list[DataFile]:
    """Write a partition's rows anew, in the table's order, as few files; nothing is committed yet.

    `inputs` say what was written. LogDamaged where a file is not what it was, or where an id stands twice.
    """
    if not inputs:
        return []
    for file in inputs:
        check_file(lake, file)
    names = [str(path) for path in _copies(lake, inputs)]
    with connect() as connection, _sorted(connection, table, names) as batches:
        outputs = list(_written(lake, table, batches, folder_of(table.name, loop, number)))
    rows_in = sum(file.rows or 0 for file in inputs)
    rows_out = sum(file.rows for file in outputs)
    if rows_out != rows_in:
        raise LogDamaged(
            f"{table.name}, loop {loop}, round {number}: {rows_out} rows were read, {rows_in} were written"
        )
    reached(f"seal {table.name}: files written")
    return outputs


def _copies(lake: Lake, inputs: Sequence[SealedFile]) -> list[Path]:
    """Where the inputs are read on this machine: a bucket's copies are held to their hashes too."""
    names = [file.name for file in inputs]
    paths = lake.store.local(names)
    if lake.store.options is None:  # the files themselves, which were just hashed
        return paths
    for file, path in zip(inputs, paths, strict=True):
        if sha256(path) != file.sha256:
            path.unlink(missing_ok=True)
    return lake.store.local(names)


def check_file(lake: Lake, file: SealedFile) -> None:
    """LogDamaged where a file is missing or its bytes are not those that were written."""
    try:
        digest = lake.store.digest(file.name)
    except FileNotFoundError:
        raise LogDamaged(f"{file.name} is missing: restore it before the round is sealed") from None
    if digest != file.sha256:
        raise LogDamaged(
            f"{file.name} was changed: it hashes to {digest[:12]}, the log says {file.sha256[:12]}"
        )


def check_live(delta: DeltaTable, table: str, inputs: Sequence[SealedFile], loop: str, number: int) -> None:
    """LogDamaged where the files that a compaction has read are not exactly the partition's."""
    live = set(names_of(delta, table, {"loop": loop, "round": number}))
    odd = live.symmetric_difference(file.name for file in inputs)
    if odd:
        raise LogDamaged(
            f"loop {loop}, round {number}: the log's entries and Delta disagree about {min(odd)}"
        )


@contextmanager
def _sorted(
    connection: duckdb.DuckDBPyConnection, table: Table, names: list[str]
) -> Iterator[pa.RecordBatchReader]:
    """A partition's rows in the table's order; what does not fit in memory is sorted on the disk."""
    columns = ", ".join(f'"{name}"' for name in stored_schema(table).names)
    order = ", ".join(f'"{name}"' for name in table.order)
    body = relation(table, Sources(names, mixed=True))
    repeated = f'SELECT "{table.id}" FROM ({body}) GROUP BY 1 HAVING count(*) > 1 LIMIT 1'
    twice = connection.execute(repeated).fetchone()
    if twice:
        raise LogDamaged(f"{table.name}: {table.id} {twice[0]} stands twice")
    batches = connection.sql(f"SELECT {columns} FROM ({body}) ORDER BY {order}").to_arrow_reader(ROW_GROUP)
    assert batches is not None
    yield batches


def _written(lake: Lake, table: Table, batches: pa.RecordBatchReader, folder: str) -> Iterator[DataFile]:
    """Batches as files of at most FILE_ROWS rows, each written beside the lake's own and moved into place."""
    spare = lake.root / "spare"
    spare.mkdir(parents=True, exist_ok=True)
    part = _Part(table, spare)
    for batch in batches:
        part.write(batch)
        if part.rows >= FILE_ROWS:
            yield part.finish(lake, folder)
            part = _Part(table, spare)
    if part.rows:
        yield part.finish(lake, folder)
    part.drop()


class _Part:
    """A Parquet file that grows batch by batch, with its statistics."""

    def __init__(self, table: Table, spare: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=".compacting-", suffix=".parquet", dir=spare)
        os.close(handle)
        self.path, self.table, self.rows = Path(name), table, 0
        self._schema = stored_schema(table)
        self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd")
        self._bounds: dict[str, tuple[object, object]] = dict.fromkeys(table.statistics, (None, None))
        self._nulls = dict.fromkeys(table.statistics, 0)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        rows = pa.Table.from_batches([batch]).cast(self._schema)
        self._writer.write_table(rows, row_group_size=ROW_GROUP)
        self.rows += rows.num_rows
        for column in self.table.statistics:
            bounds = pc.min_max(rows[column]).as_py()
            self._bounds[column] = _widest(self._bounds[column], (bounds["min"], bounds["max"]))
            self._nulls[column] += rows[column].null_count

    def finish(self, lake: Lake, folder: str) -> DataFile:
        """Close the file and bring it into the lake under its hash."""
        self._writer.close()
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        name = file_name(folder, sha256, "sealed")
        lake.store.put_file(name, self.path)
        loop, number = (part.partition("=")[2] for part in folder.split("/")[-2:])
        partition: Mapping[str, str] = {"loop": loop, "round": number}
        summary = statistics(self.rows, self._bounds, self._nulls)
        return DataFile(self.table.name, name, partition, self.rows, size, sha256, summary)

    def drop(self) -> None:
        """Clear away a file that got no row."""
        self._writer.close()
        self.path.unlink(missing_ok=True)


def _widest(one: tuple[object, object], other: tuple[object, object]) -> tuple[object, object]:
    lows = [value for value in (one[0], other[0]) if value is not None]
    highs = [value for value in (one[1], other[1]) if value is not None]
    return min(lows, default=None), max(highs, default=None)  # type: ignore[type-var]
