"""`ratchet sql`: ask the lake."""

from __future__ import annotations

import sys

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.argument("query", required=False)
@lake_option
@json_option
@one_line_errors
def sql(query: str | None, lake: str, as_json: bool) -> None:
    """Ask the lake: one SELECT over its tables and views. Without QUERY: what there is to ask.

    QUERY "-" is read from standard input. Nothing but SELECT runs, and nothing outside the lake is read.
    """
    from flows.pages.show import rows_table
    from schemas.tables import TABLES
    from warehouse.query import Session, describe_views

    opened = Lake(lake)
    if query is None:
        offered = [{"name": n, "kind": "view", "shows": text} for n, text in describe_views().items()]
        offered += [{"name": t.name, "kind": "table", "shows": t.doc} for t in TABLES.values()]
        offered.append({"name": "examples", "kind": "table", "shows": "The rows of frozen training sets."})
        rows = offered
    else:
        text = sys.stdin.read() if query == "-" else query
        rows = Session(opened).rows(text)
    if as_json:
        print_json(rows)
    elif rows:
        wide().print(rows_table(rows))
    else:
        click.echo("no rows")
