"""What a column and a table are: declared once for Arrow, Polars and SQL.

Text is UTF-8, times are UTC in microseconds, counts are rows or tokens as named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
INT = pa.int64()
FLOAT = pa.float64()
INTS = pa.list_(pa.int64())
FLOATS = pa.list_(pa.float64())
SMALL_INTS = pa.list_(pa.int32())  # of lists that are long: half as many bytes
SMALL_FLOATS = pa.list_(pa.float32())
BOOL = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")

_SQL = {
    TEXT: "VARCHAR",
    TEXTS: "VARCHAR[]",
    INT: "BIGINT",
    INTS: "BIGINT[]",
    FLOAT: "DOUBLE",
    FLOATS: "DOUBLE[]",
    SMALL_INTS: "INTEGER[]",
    SMALL_FLOATS: "FLOAT[]",
    BOOL: "BOOLEAN",
    TIME: "TIMESTAMP WITH TIME ZONE",
}


@dataclass(frozen=True)
class Column:
    """One column: `nullable` says whether a fact may lack it; `doc` gives its meaning and unit.

    `to` names the columns ("prompts.prompt_id") that its values, or its lists' values, may point to.
    """

    name: str
    type: pa.DataType
    doc: str
    nullable: bool = False
    to: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The DuckDB type."""
        return _SQL[self.type]


@dataclass(frozen=True)
class Table:
    """One kind of fact. `id` is the column whose values are unique in the table.

    A closed round's rows are sorted by `sorted_by` (empty: by the id), because look-ups ask by these columns.
    """

    name: str
    doc: str
    id: str
    own: tuple[Column, ...]
    sorted_by: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns: the shared ones, then the table's own."""
        return SHARED + self.own

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that put the table's rows in one order: those it is sorted by, then the id."""
        return tuple(dict.fromkeys((*self.sorted_by, self.id)))

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, nullability included."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @cached_property
    def polars(self) -> pl.Schema:
        """The Polars schema of the same columns in the same order."""
        empty = pl.from_arrow(self.arrow.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return empty.schema

    @cached_property
    def own_polars(self) -> pl.Schema:
        """The Polars schema of the table's own columns: what a step hands to the log."""
        return pl.Schema({c.name: self.polars[c.name] for c in self.own})

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """A step's rows in the table's own types: the columns of the first row, all columns for no rows."""
        types = {name: kind for name, kind in self.own_polars.items() if not rows or name in rows[0]}
        return pl.DataFrame(rows, schema=types)

    @cached_property
    def sql(self) -> Mapping[str, str]:
        """DuckDB type by column name, in order."""
        return {c.name: c.sql for c in self.columns}

    @cached_property
    def statistics(self) -> tuple[str, ...]:
        """Columns whose minimum and maximum are kept for every file: what look-ups prune by."""
        ids = tuple(c.name for c in self.own if c.type == TEXT and c.name.endswith("_id"))
        return ("unit", *ids)


SHARED = (
    Column("loop", TEXT, "name of the loop, [a-z0-9-]+"),
    Column("round", INT, "number of the round, from 0"),
    Column("unit", TEXT, "key of the unit of work that wrote the row"),
    Column("recorded_at", TIME, "when the row was appended, UTC, microseconds"),
)
