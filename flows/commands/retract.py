"""`ratchet retract`: take something back, without deleting anything."""

from __future__ import annotations

import click

from flows.commands.options import json_option, lake_option, one_line_errors, print_json, wide
from warehouse.lake import Lake


@click.command()
@click.argument("what", metavar="X")
@click.option("--why", default="", metavar="TEXT", help="Why it is taken back; on record for ever.")
@click.option(
    "--plan", "planned", is_flag=True, help="Say how champions that hold X would be clean; record nothing."
)
@lake_option
@json_option
@one_line_errors
def retract(what: str, why: str, planned: bool, lake: str, as_json: bool) -> None:
    """Put on record that X is taken back: later freezes leave out what was made from it.

    X is as `ratchet impact` takes it: the id of a prompt, candidate, score, critique, preference or
    checkpoint, or source=FILE, verifier=NAME:VERSION, principle=NAME. Nothing is deleted: `ratchet status`
    says which champions hold it, --plan which snapshots and trainings would make them clean, and how long
    those took.
    """
    from flows.pages.retract import plan_lines
    from flows.round.progress import printable
    from warehouse.ancestry.retract import plan
    from warehouse.ancestry.retract import retract as take_back
    from warehouse.ancestry.select import meant

    opened = Lake(lake)
    name = meant(opened, what)[0]
    row = None if planned else take_back(opened, what, why)
    plans = plan(opened, name)
    if as_json:
        print_json({"what": name, "retraction": row, "plan": plans})
        return
    for line in plan_lines(name, row, plans):
        wide().print(printable(line), markup=False, highlight=False, soft_wrap=True)
