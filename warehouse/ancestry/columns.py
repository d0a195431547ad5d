"""The columns that walking needs of a table, and what links say of rows that are in memory."""

from __future__ import annotations

import re
from functools import cache

import polars as pl

from schemas.descent import EXAMPLES, KEYS, LINKS, OF, Link
from schemas.tables import TABLES
from warehouse.ancestry.described import LINES, WHAT
from warehouse.relations import EXAMPLE_COLUMNS

OF_SNAPSHOTS = ("loop", "round", "purpose", "recorded_at")
"""What an example has of its snapshot's row."""
PAIR = pl.Schema({"child": pl.String, "parent": pl.String})
_SHARED = ("loop", "round", "recorded_at")
_WORD = re.compile(r"[a-z_]+")


@cache
def names(table: str) -> tuple[str, ...]:
    """Columns that a table's rows have in memory: key, what, line, and what links ask for."""
    texts = [text for link in LINKS for text in _texts(link, table)]
    words = {word for text in texts for word in _WORD.findall(text)}
    there = (*EXAMPLE_COLUMNS, *OF_SNAPSHOTS) if table == EXAMPLES else tuple(TABLES[table].sql)
    asked = [name for name in there if name in words and name not in _SHARED]
    return ("key", "what", "line", *_SHARED, *asked)


@cache
def columns(table: str) -> str:
    """SQL that makes those columns from a table's own."""
    made = f"{KEYS[table]} AS key, {WHAT[table]} AS what, {LINES.get(table, 'NULL')}::BIGINT AS line"
    return ", ".join((made, *(f'"{name}"' for name in names(table)[3:])))


def each(expression: str) -> str:
    """SQL for a column, or for each value of a list."""
    return f"unnest({expression[:-2]})" if expression.endswith("[]") else expression


def named(link: Link, rows: pl.DataFrame) -> pl.DataFrame:
    """The pairs of a link that holds parents' ids, from children's rows."""
    column = link.on[0][0].removesuffix("[]")
    pairs = rows.select(child="key", parent=column).drop_nulls("parent")
    if link.on[0][0].endswith("[]"):
        pairs = pairs.explode("parent").drop_nulls("parent").unique(maintain_order=True)
    return pairs.filter(pl.col("parent").str.starts_with(f"{OF[link.parent]}-"))


def joined(link: Link, c: str, p: str, read: str) -> str:
    """SQL for the pairs of a link that no column names, between two relations, with columns to read."""
    ours = "".join(f", {each(mine)} AS k{n}" for n, (mine, _) in enumerate(link.on))
    theirs = "".join(f", {each(other)} AS k{n}" for n, (_, other) in enumerate(link.on))
    on = [f"c.k{n} = p.k{n}" for n in range(len(link.on))]
    on += [] if link.across else ["p.loop = c.loop"]
    on += {"same": ["p.round = c.round"], "earlier": ["p.round <= c.round"], "any": []}[link.when]
    return (
        f"SELECT c.key AS child, p.key AS parent, {read} "
        f"FROM (SELECT *{ours} FROM {c} WHERE {link.only or 'true'}) AS c "
        f"JOIN (SELECT *{theirs} FROM {p} WHERE {link.of or 'true'}) AS p "
        f"ON {' AND '.join(on)} WHERE {link.where or 'true'}"
    )


def asking(link: Link, rows: pl.DataFrame, *, down: bool) -> pl.DataFrame:
    """The rows of which a link can hold: those that meet its condition and have what it compares."""
    condition = link.of if down else link.only
    if condition:
        rows = rows.filter(pl.sql_expr(condition))
    compared = (pair[1 if down else 0].removesuffix("[]") for pair in link.on)
    return rows.drop_nulls([name for name in compared if name in rows.columns])


def _texts(link: Link, table: str) -> tuple[str, ...]:
    """The parts of a link that speak of a table's columns."""
    mine = (*(pair[0] for pair in link.on), link.only) if link.child == table else ()
    other = (*(pair[1] for pair in link.on), link.of) if link.parent == table else ()
    return (*mine, *other, link.where if table in (link.child, link.parent) else "")
