"""`ratchet sql`: ask the lake."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from schemas.errors import BadInput
from warehouse.lake import Lake

ROWS = 500
"""Rows that a table on the screen has, unless --limit says another number."""


class _Command(click.Command):
    """A command whose argument may begin with an SQL comment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep click from reading a comment's "--" as an option."""
        return super().parse_args(ctx, [f" {one}" if one[:3] in ("-- ", "--\n") else one for one in args])


@click.command(cls=_Command)
@click.argument("query", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Rows at most; 0: all.  [default: {ROWS} on the screen, else all]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up after so long.  [default: never; Ctrl-C ends it at once]",
)
@click.option("--lines", is_flag=True, help="A line for each value: for rows that are wider than the screen.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the rows to a .csv, .jsonl or .parquet file, as they come.",
)
@lake_option
@json_option
@one_line_errors
def sql(
    query: str | None,
    limit: int | None,
    timeout: float | None,
    lines: bool,
    to: Path | None,
    lake: str,
    as_json: bool,
) -> None:
    """Ask the lake: one SELECT over its tables and views. Without QUERY: what there is to ask.

    A table's or a view's name alone (or DESCRIBE and its name) shows its columns and what they mean. QUERY
    "-" is read from standard input. Nothing but SELECT runs, and nothing outside the lake is read.
    """
    from flows.pages.rows import write_rows
    from warehouse.session import Session, describe, described

    opened = Lake(lake)
    text = None if query is None else _text_of(query)
    name = "tables" if text is None else described(text)
    if name is not None:
        _print(_offered() if name == "tables" else describe(name, opened), as_json, lines)
        return
    assert text is not None
    most = limit if limit is not None else 0 if as_json or to is not None else ROWS
    with Session(opened, timeout).answer(text) as answer:
        if to is not None:
            count = write_rows(answer, to, most or None)
            click.echo(f"{count:,} rows in {to}", err=True)
            return
        rows, total = answer.head(most) if most else (list(answer.rows()), 0)
    _print(rows, as_json, lines)
    if total > len(rows):
        hint = "--limit 0 shows all, --to FILE writes them"
        click.echo(f"{len(rows):,} of {total:,} rows: {hint}", err=True)


def _text_of(query: str) -> str:
    """The query's text; BadInput where it is not UTF-8."""
    try:
        text = sys.stdin.buffer.read().decode() if query == "-" else query
        text.encode()
    except UnicodeError:
        raise BadInput("the query is not UTF-8 text") from None
    return text


def _offered() -> list[dict[str, str]]:
    """Every view and table, and what it shows."""
    from schemas.tables import TABLES
    from warehouse.query import describe_views
    from warehouse.relations import EXAMPLES

    offered = [{"name": n, "kind": "view", "shows": text} for n, text in describe_views().items()]
    offered += [{"name": t.name, "kind": "table", "shows": t.doc} for t in TABLES.values()]
    return [*offered, {"name": EXAMPLES, "kind": "table", "shows": "The rows of frozen training sets."}]


def _print(rows: list[dict[str, Any]], as_json: bool, lines: bool) -> None:
    from flows.pages.rows import fits, rows_by_line
    from flows.pages.show import rows_table

    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("no rows")
        return
    console = wide()
    if lines or not fits(rows, console.width):
        rows_by_line(console, rows)
    else:
        console.print(rows_table(rows))
