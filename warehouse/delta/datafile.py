"""Data files: rows of one partition as Parquet, named by their own SHA-256, with statistics to prune by.

A file's name carries the hash of its bytes from birth, so that whoever holds the name can tell whether the
bytes are still those, and what a killed writer left behind can be told from what does not belong.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import polars as pl
import pyarrow as pa

from schemas.columns import Table
from warehouse.store.face import Store

PARTITION = ["loop", "round"]
NAME = re.compile(r"(?:part|sealed)-[0-9a-f]{12}-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table, by its name in the lake: rows, size in bytes, SHA-256, statistics."""

    table: str
    name: str
    partition: Mapping[str, str]
    rows: int
    size: int
    sha256: str
    statistics: str

    @property
    def path(self) -> str:
        """The file's path as Delta names it, relative to its table."""
        return self.name.removeprefix(f"tables/{self.table}/")

    @property
    def facts(self) -> dict[str, str | int]:
        """What a commit records of it."""
        return {"sha256": self.sha256, "size": self.size, "rows": self.rows}


def stored_schema(table: Table) -> pa.Schema:
    """The columns that a data file holds: all but those that its folder names."""
    return pa.schema([field for field in table.arrow if field.name not in PARTITION])


def folder_of(table: str, loop: str, round_number: int) -> str:
    """The folder of a partition, in the lake."""
    return f"tables/{table}/loop={loop}/round={round_number}"


def file_name(folder: str, sha256: str, kind: str = "part") -> str:
    """A fresh name for a file with this hash."""
    return f"{folder}/{kind}-{uuid4().hex[:12]}-{sha256}.parquet"


def hash_in_name(name: str) -> str | None:
    """The SHA-256 that a data file's name carries; None where it is not one of ours."""
    match = NAME.fullmatch(name.rpartition("/")[2])
    return match[1] if match else None


def write_rows(store: Store, table: Table, rows: pl.DataFrame) -> DataFile | None:
    """Write one partition's rows as a new file; None where there is no row."""
    if rows.is_empty():
        return None
    loop, round_number = str(rows["loop"][0]), int(rows["round"][0])
    sink = io.BytesIO()
    # The log's own statistics prune such small files; those of row groups come when the round is sealed.
    rows.drop(PARTITION).write_parquet(sink, compression="zstd", compression_level=1, statistics=False)
    data = sink.getbuffer()
    sha256 = hashlib.sha256(data).hexdigest()
    name = file_name(folder_of(table.name, loop, round_number), sha256)
    store.put_new(name, data)
    bounds = _bounds(rows, table.statistics)
    nulls = {column: rows[column].null_count() for column in table.statistics}
    return DataFile(
        table=table.name,
        name=name,
        partition={"loop": loop, "round": str(round_number)},
        rows=rows.height,
        size=len(data),
        sha256=sha256,
        statistics=statistics(rows.height, bounds, nulls),
    )


def _bounds(rows: pl.DataFrame, columns: Sequence[str]) -> dict[str, tuple[object, object]]:
    """Smallest and largest value of each column."""
    low = [pl.col(column).min().alias(f"low {column}") for column in columns]
    high = [pl.col(column).max().alias(f"high {column}") for column in columns]
    row = rows.select(*low, *high).row(0, named=True)
    return {column: (row[f"low {column}"], row[f"high {column}"]) for column in columns}


def statistics(rows: int, bounds: Mapping[str, tuple[object, object]], nulls: Mapping[str, int]) -> str:
    """Delta's statistics of a file, as JSON: rows, smallest and largest values, missing values."""
    low = {column: pair[0] for column, pair in bounds.items() if pair[0] is not None}
    high = {column: pair[1] for column, pair in bounds.items() if pair[1] is not None}
    return json.dumps({"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": dict(nulls)})
