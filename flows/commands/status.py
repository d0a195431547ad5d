"""`ratchet status`: where loops stand."""

from __future__ import annotations

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.option("--loop", help="Only this loop.  [default: all]")
@lake_option
@json_option
@one_line_errors
def status(loop: str | None, lake: str, as_json: bool) -> None:
    """What every round did: funnel, distinct paths, accuracy, verdict and why, and the monitors."""
    from flows.pages.show import night_table
    from flows.pages.status import status as rounds_of

    rounds = rounds_of(Lake(lake), loop)
    if as_json:
        print_json(rounds)
        return
    for name in dict.fromkeys(r["loop"] for r in rounds):
        night_table(wide(), [r for r in rounds if r["loop"] == name], lake)
