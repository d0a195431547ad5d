"""Reading the lake with DuckDB: pruned file lists of a table's version, never a glob.

`read` and `query` serve the program; `warehouse/session.py` serves people, over the views that are made here.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl

from schemas.errors import LakeError
from schemas.tables import TABLES
from warehouse.lake import Lake, Where
from warehouse.relations import EXAMPLES, quoted, relation, relation_examples
from warehouse.store.trouble import disk_errors

VIEWS = Path(__file__).parent / "views"


def database() -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB that takes no Python variable for a table; its time zone is UTC."""
    connection = duckdb.connect(":memory:", config={"python_enable_replacements": False})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(f"SET GLOBAL temp_directory = {quoted(tempfile.gettempdir() + '/ratchet-duckdb')}")
    return connection


@cache
def _own() -> duckdb.DuckDBPyConnection:
    """The program's own reads share one database, which takes longer to open than to ask."""
    shared = database()
    atexit.register(_own.cache_clear)
    atexit.register(shared.close)
    return shared


@contextmanager
def connect(of: duckdb.DuckDBPyConnection | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database (None: the program's own) whose views are its own and go with it.

    DuckDB turns Ctrl-C into an error of its own, which a retry would swallow: it becomes Ctrl-C again.
    """
    try:
        with (_own() if of is None else of).cursor() as connection:
            yield connection
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from None
        raise


def read(lake: Lake, table: str, where: Where | None = None, *, version: int | None = None) -> pl.DataFrame:
    """The rows of a table with these values (column to a value or a list of values), all columns."""
    condition, values = _condition(where or {})
    sources = lake.sources(table, where, version)
    with disk_errors(f"table {table} in {lake.where} cannot be read"), connect() as connection:
        sql = f"{relation(TABLES[table], sources)} WHERE {condition}"
        return _polars(connection.sql(sql, params=values))


def query(
    lake: Lake, sql: str, values: Mapping[str, Any] | None = None, *, scope: Where | None = None
) -> pl.DataFrame:
    """The result of the program's own SQL over the lake's tables and views, values bound.

    `scope` (loop, rounds) narrows the files that every table named is read from; it prunes files
    and filters no rows, so the SQL must still say what it wants.
    """
    with disk_errors(f"the lake at {lake.where} cannot be asked"), connect() as connection:
        _create_views(connection, lake, sql, scope)
        return _polars(connection.sql(sql, params=values or {}))


def describe_views() -> dict[str, str]:
    """What each ready view shows: its name, and the comment at the head of its file."""
    return {name: _comment(text) for name, text in views().items()}


@cache
def views() -> Mapping[str, str]:
    """The shipped views: name to SQL, from `views/*.sql`."""
    return {path.stem: path.read_text("utf-8") for path in sorted(VIEWS.glob("*.sql"))}


def _create_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, sql: str, scope: Where | None = None
) -> list[str]:
    """Create the tables and views a query names, from the bottom up; returns the files they read."""
    return create_views(connection, lake, dependencies(connection, sql), scope)


def create_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, names: Iterable[str], scope: Where | None = None
) -> list[str]:
    """Create these views on a connection, each after those it reads; returns the files behind them."""
    files: list[str] = []
    for name in names:
        if name in TABLES:
            sources = lake.sources(name, scope)
            files += sources.paths
            body = relation(TABLES[name], sources)
        elif name == EXAMPLES:
            paths = snapshot_files(lake, scope)
            files += paths
            body = relation_examples(paths)
        else:
            body = views()[name]
        connection.execute(f'CREATE TEMP VIEW "{name}" AS {body}')
    return files


def dependencies(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[str]:
    """Tables and views that a query needs, each after those it reads."""
    visited: set[str] = set()

    def walk(text: str) -> Iterator[str]:
        for name in sorted(_tables_in(connection, text)):
            if name in visited or not (name in TABLES or name in views() or name == EXAMPLES):
                continue
            visited.add(name)
            if name in views():
                yield from walk(views()[name])
            yield name

    yield from walk(sql)


def _tables_in(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Every table that a SELECT names, in lower case, found by parsing alone; CTEs among them."""
    row = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        raise duckdb.ParserException(str(tree.get("error_message")))
    tables: set[str] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            stack += node.values()
            if node.get("type") == "BASE_TABLE":
                tables.add(str(node["table_name"]).lower())
    return tables


def snapshot_files(lake: Lake, scope: Where | None) -> list[str]:
    """Local paths of the frozen training sets of a scope."""
    rows = read(lake, "snapshots", scope)
    names = [f"{path}/examples.parquet" for path in rows["path"].sort()]
    return [str(path) for path in lake.store.local(names)]


def _condition(where: Where) -> tuple[str, dict[str, Any]]:
    parts = ["true"]
    values: dict[str, Any] = {}
    for number, (column, value) in enumerate(where.items()):
        name = f"v{number}"
        one = isinstance(value, str | int)
        parts.append(f'"{column}" = ${name}' if one else f'"{column}" IN (SELECT unnest(${name}))')
        values[name] = value if one else list(cast("Sequence[Any]", value))
    return " AND ".join(parts), values


def _polars(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    frame = pl.from_arrow(relation.to_arrow_table())
    if not isinstance(frame, pl.DataFrame):
        raise LakeError("the query gave no table")
    return frame


def _comment(sql: str) -> str:
    lines = [line[2:].strip() for line in sql.splitlines() if line.startswith("--")]
    return " ".join(lines)
