"""A person's SQL over a lake: SELECT only, on a locked connection, in a thread that can be interrupted.

Covered: Ctrl-C, SIGTERM and a time limit end any query at once, in whatever it is; an answer is read a batch
at a time, so that its first rows come when DuckDB has them; what Python cannot hold (far dates, intervals,
blobs) comes as DuckDB writes it.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import polars as pl
import pyarrow as pa

from schemas.columns import SHARED
from schemas.errors import LakeError, QueryError
from schemas.tables import TABLES
from warehouse.lake import Lake
from warehouse.query import connect, create_views, database, dependencies, views
from warehouse.relations import EXAMPLES, quoted

BATCH = 10_000  # rows
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(?=select\b|from\b|with\b|values\b|\()", re.IGNORECASE)
_MISSING = re.compile(r"Table with name (\S+) does not exist")
_DESCRIBED = re.compile(
    r"\s*(?:(?:describe|desc|show)\s+(?:table\s+)?)?(?P<name>[a-z_]+)\s*;?\s*", re.IGNORECASE
)
_WRITTEN = re.compile(r"(?:INTERVAL|BLOB|BIT)(?:\[\d*\])*")  # types whose values Python shows otherwise

T = TypeVar("T")


@dataclass
class Answer:
    """What a query gives: the names of its columns, those that stand twice numbered, their types (under
    the names that the query gave) and its rows.
    """

    columns: Sequence[str]
    schema: pa.Schema
    _read: Callable[[], pa.RecordBatch | None]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch at a time, as they come; QueryError where the query fails on the way."""
        while (batch := self._read()) is not None:
            yield batch

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows, one value each."""
        for batch in self.batches():
            yield from self._rows_of(batch)

    def head(self, count: int) -> tuple[list[dict[str, Any]], int]:
        """The first rows, and how many there are in all."""
        first, total = list[dict[str, Any]](), 0
        for batch in self.batches():
            first += self._rows_of(batch.slice(0, count - len(first)))
            total += batch.num_rows
        return first, total

    def _rows_of(self, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        columns = [_values(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield dict(zip(self.columns, values, strict=True))


class Session:
    """A user's SQL over a lake: SELECT only, over the tables and views, with nothing else in reach.

    A query that takes longer than `seconds` (None: as long as it takes) is a QueryError.
    """

    def __init__(self, lake: Lake, seconds: float | None = None) -> None:
        self.lake = lake
        self.seconds = seconds

    def run(self, sql: str) -> pl.DataFrame:
        """The rows of one SELECT (or its EXPLAIN); anything else is a QueryError of one line."""
        with self._asked(sql) as (relation, wait):
            frame = wait(lambda: pl.from_arrow(relation.to_arrow_table()))
            if not isinstance(frame, pl.DataFrame):
                raise LakeError("the query gave no table")
            return frame

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """As `run`, one value a row; a name that stands twice is numbered (`loop`, `loop_1`)."""
        with self.answer(sql) as answer:
            return list(answer.rows())

    @contextmanager
    def answer(self, sql: str) -> Iterator[Answer]:
        """The answer to one SELECT, read while the block lasts."""
        with self._asked(sql, as_written=True) as (relation, wait):
            names = _numbered(relation.columns)
            reader = wait(lambda: relation.to_arrow_reader(BATCH))

            def read() -> pa.RecordBatch | None:
                return wait(lambda: next(reader, None))

            yield Answer(names, reader.schema, read)

    @contextmanager
    def _asked(
        self, sql: str, *, as_written: bool = False
    ) -> Iterator[tuple[duckdb.DuckDBPyRelation, Callable[[Callable[[], T]], T]]]:
        """The locked answer to a checked text, and how to wait for work on it. What runs is what was checked,
        and nothing around it. With `as_written` what Python does not hold is text.
        """
        deadline = None if self.seconds is None else time.monotonic() + self.seconds
        with (
            _one_line(),
            ThreadPoolExecutor(1) as beside,
            database() as locked,
            connect(locked) as connection,
        ):

            def wait(work: Callable[[], T]) -> T:
                return _waited(beside.submit(work), connection, deadline, self.seconds)

            yield wait(lambda: self._bound(connection, sql, as_written)), wait

    def _bound(
        self, connection: duckdb.DuckDBPyConnection, sql: str, as_written: bool
    ) -> duckdb.DuckDBPyRelation:
        lead, select = only_select(connection, sql)
        files = create_views(connection, self.lake, dependencies(connection, select))
        _lock(connection, files)
        relation = connection.sql(lead + select)
        others = [n for n, kind in enumerate(relation.types) if _WRITTEN.fullmatch(str(kind))]
        if lead or not as_written or not others:
            return relation
        names = [f"c{number}" for number in range(len(relation.columns))]
        chosen = (
            f'{f"CAST({name} AS VARCHAR)" if number in others else name} AS "{column}"'
            for number, (name, column) in enumerate(zip(names, _escaped(relation.columns), strict=True))
        )
        relation.close()
        inner = _without_end(select)
        return connection.sql(f"SELECT {', '.join(chosen)} FROM (\n{inner}\n) AS t({', '.join(names)})")


def describe(name: str, lake: Lake) -> list[dict[str, str]]:
    """The columns of a table or a view: name, DuckDB type and meaning; of a view "" where it makes the column
    itself, or tables mean different things by its name.
    """
    docs: dict[str, set[str]] = {}
    for column in (*SHARED, *(one for table in TABLES.values() for one in table.own)):
        docs.setdefault(column.name, set()).add(column.doc)
    meanings = {one: next(iter(texts)) for one, texts in docs.items() if len(texts) == 1}
    if name in TABLES:
        meanings |= {column.name: column.doc for column in TABLES[name].columns}
    with Session(lake)._asked(f'SELECT * FROM "{name}" LIMIT 0') as (relation, _):
        kinds = zip(relation.columns, map(str, relation.types), strict=True)
        return [{"column": one, "type": kind, "meaning": meanings.get(one, "")} for one, kind in kinds]


def described(sql: str) -> str | None:
    """The table or view that a text asks to describe (its name alone, DESCRIBE, SHOW), "tables" for all of
    them; None where the text is another one.
    """
    match = _DESCRIBED.fullmatch(sql)
    name = match["name"].lower() if match else None
    return name if name in {"tables", EXAMPLES, *TABLES, *views()} else None


def only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, str]:
    """A user's text as a lead ("", "EXPLAIN " or "EXPLAIN ANALYZE ") and the one SELECT behind it."""
    explain = _EXPLAIN.match(sql)
    lead = "" if explain is None else "EXPLAIN ANALYZE " if explain[1] else "EXPLAIN "
    try:
        statements = connection.extract_statements(sql if explain is None else sql[explain.end() :])
    except duckdb.ParserException:
        if explain is None or sql[explain.end()] != "(":
            raise
        raise QueryError("EXPLAIN and EXPLAIN ANALYZE stand before a SELECT here, without options") from None
    if len(statements) != 1:
        raise QueryError(f"one SELECT at a time, not {len(statements)} statements")
    kind = statements[0].type
    if kind == duckdb.StatementType.MULTI:
        raise QueryError(
            "PIVOT needs its values named, so that it is one SELECT: FROM (PIVOT scores ON outcome IN "
            "('pass', 'fail') USING count(*) GROUP BY round)"
        )
    if kind != duckdb.StatementType.SELECT:
        raise QueryError(f"only SELECT runs here, not {kind.name}: the lake's facts never change")
    return lead, str(statements[0].query)


def _waited(
    work: Future[T], connection: duckdb.DuckDBPyConnection, deadline: float | None, seconds: float | None
) -> T:
    """What a thread comes to; where we are interrupted, or it takes too long, its query is interrupted."""
    try:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return work.result(left)
    except NotYet:
        if work.done():
            raise
        raise QueryError(f"the query took more than {seconds:g} s; a longer --timeout lets it") from None
    finally:
        while not work.done():  # the query may begin only after the first interruption
            connection.interrupt()
            with suppress(BaseException):
                work.exception(0.05)


@contextmanager
def _one_line() -> Iterator[None]:
    """What DuckDB, Arrow and Polars refuse, as a QueryError of one line."""
    try:
        yield
    except duckdb.CatalogException as error:
        missing = _MISSING.search(str(error))
        raise QueryError(_no_table(missing[1]) if missing else _line(error)) from None
    except (duckdb.Error, pa.ArrowException, pl.exceptions.PolarsError, ValueError, OverflowError) as error:
        raise QueryError(_line(error)) from None
    except RecursionError:
        raise QueryError("the query is nested too deeply") from None


def _no_table(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*TABLES, *views(), EXAMPLES], n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "`ratchet sql` alone lists what there is"
    return f"no table or view is called {name!r}: {hint}"


def _numbered(names: Sequence[str]) -> list[str]:
    counts: dict[str, int] = {}
    numbered = []
    for name in names:
        count = counts[name] = counts.get(name, -1) + 1
        numbered.append(f"{name}_{count}" if count else name)
    return numbered


def _escaped(names: Sequence[str]) -> list[str]:
    return [name.replace('"', '""') for name in names]


def _without_end(select: str) -> str:
    """One statement without its semicolon, and what may stand behind it."""
    data = select.encode()
    ends = (offset for offset, _ in duckdb.tokenize(select) if data[offset : offset + 1] == b";")
    return data[: next(ends, len(data))].decode()


def _values(column: pa.Array) -> list[Any]:
    """A column's values as Python has them; dates and times as text where one is too far for Python."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        counts = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
        return [None if one is None else _far(one, column.type) for one in counts.to_pylist()]


def _far(count: int, kind: pa.DataType) -> str:
    """A date (days) or time (of its unit) since 1970 as ISO text, whatever the year."""
    unit = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.get(getattr(kind, "unit", ""), 0)
    days, rest = divmod(count, 86_400 * unit) if unit else (count, 0)
    cycles, day = divmod(days + 719_468, 146_097)  # of 400 years each, from March of the year 0
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    text = f"{400 * cycles + year + (month > 9):04d}-{month % 12 + 3 - 12 * (month % 12 > 9):02d}"
    text = f"{text}-{day - (153 * month + 2) // 5 + 1:02d}"
    if not unit:
        return text
    seconds, part = divmod(rest, unit)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}T{clock}" + (f".{part * 10**6 // unit:06d}" if part else "")


def _lock(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    listed = ", ".join(quoted(file) for file in files)
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split("\n\nLINE")[0].split())[:500]
