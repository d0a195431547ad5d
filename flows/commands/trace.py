"""`ratchet trace`: the story of a checkpoint or of a candidate."""

from __future__ import annotations

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.argument("row_id", metavar="ID")
@lake_option
@json_option
@one_line_errors
def trace(row_id: str, lake: str, as_json: bool) -> None:
    """The story of a checkpoint (ckpt-...) back to its base, or the whole life of a candidate (cand-...)."""
    from flows.pages.show import story
    from warehouse.lineage import trace as trace_of

    lineage = trace_of(Lake(lake), row_id)
    if as_json:
        print_json(lineage)
    else:
        story(wide(), lineage)
