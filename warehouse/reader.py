"""Many questions of the program's own to one lake, whose tables are opened once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from schemas.tables import TABLES
from warehouse.lake import Lake
from warehouse.query import connect, create_views
from warehouse.relations import EXAMPLES
from warehouse.store.trouble import disk_errors

BATCH = 65_536  # rows


class Reader:
    """SQL over the tables and examples of a lake as it stood when this was made."""

    def __init__(self, lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
        self._lake, self._connection = lake, connection

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The answer, of few rows."""
        with disk_errors(f"the lake at {self._lake.where} cannot be asked"):
            answer = self._connection.execute(sql)
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer, of many rows, batch by batch."""
        with disk_errors(f"the lake at {self._lake.where} cannot be asked"):
            answer = self._connection.sql(sql).to_arrow_reader(BATCH)
            assert answer is not None
            yield from answer


@contextmanager
def reader(lake: Lake) -> Iterator[Reader]:
    """A reader for the time of a block."""
    with connect() as connection:
        with disk_errors(f"the lake at {lake.where} cannot be asked"):
            create_views(connection, lake, [*TABLES, EXAMPLES])
        yield Reader(lake, connection)
