"""`ratchet impact`: what something reached."""

from __future__ import annotations

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.argument("what", metavar="X")
@lake_option
@json_option
@one_line_errors
def impact(what: str, lake: str, as_json: bool) -> None:
    """Every snapshot, checkpoint, evaluation and later text that X reached, with steps and shares.

    X is the id of any row (or its beginning), or source=FILE, source=FILE:LINE, verifier=NAME,
    verifier=NAME:VERSION, judge=CHECKPOINT, principle=NAME. What a trace goes up by, this goes down by.
    """
    from flows.pages.impact import impact_page
    from warehouse.ancestry.impact import impact as impact_of

    told = impact_of(Lake(lake), what)
    if as_json:
        print_json(told)
    else:
        impact_page(wide(), told)
