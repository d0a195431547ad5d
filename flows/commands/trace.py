"""`ratchet trace`: what any row descends from, and the story of a checkpoint or of a candidate."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.argument("row_id", metavar="ID")
@click.option(
    "--since", "base", metavar="CHECKPOINT", help="What a checkpoint was trained on since this one."
)
@click.option("--all", "whole", is_flag=True, help="Walk every row, however many examples there are.")
@click.option("--dot", "as_dot", is_flag=True, help="Print the whole graph for Graphviz.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page that stands alone.",
)
@lake_option
@json_option
@one_line_errors
def trace(
    row_id: str, base: str | None, whole: bool, as_dot: bool, html: Path | None, lake: str, as_json: bool
) -> None:
    """All that a row descends from, back to the base and to source files, whatever loops that leads through.

    ID is that of any row (checkpoint, training, snapshot, example, candidate, prompt, score, decision,
    preference, critique, evaluation, audit ...), or a beginning of it that no other id has. Of a checkpoint
    its generations are told too, of a candidate its whole life.
    """
    from flows.pages.ancestry import ancestry_tree, dot, since_lines
    from flows.pages.ancestry_html import page
    from flows.pages.show import story
    from warehouse.ancestry.since import since
    from warehouse.ancestry.trace import WALKED, ancestry
    from warehouse.lineage import trace as trace_of

    opened = Lake(lake)
    between = None if base is None else since(opened, row_id, base)
    if between is not None and not (html or as_dot or as_json):
        for line in since_lines(between):
            wide().print(line, markup=False, highlight=False, soft_wrap=True)
        return
    told = ancestry(opened, row_id, sys.maxsize if whole else WALKED)
    if html is not None:
        html.write_text(page(told, between), "utf-8")
    if as_dot:
        click.echo(dot(told), nl=False)
        return
    life = trace_of(opened, told["id"]) if told["table"] in ("checkpoints", "candidates") else None
    if as_json:
        own = life or {"kind": told["table"].removesuffix("s"), "id": told["id"]}
        print_json(own | {"ancestry": told} | ({} if between is None else {"between": between}))
        return
    console = wide()
    if life is not None:
        story(console, life)
        console.print("\ndescends from", markup=False, highlight=False)
    ancestry_tree(console, told)
