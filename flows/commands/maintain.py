"""`ratchet maintain`: seal what is closed, free what nothing needs."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from flows.commands.options import (
    json_option,
    lake_option,
    models_option,
    one_line_errors,
    print_json,
    progress_on,
)
from flows.round.progress import printable, reporter
from schemas.errors import LakeBusy
from schemas.tables import TABLES
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.maintain import KEEP_HOURS, Maintained
from warehouse.maintain import maintain as maintained
from warehouse.models.adopt import Adopted
from warehouse.models.adopt import adopt as taken_in


@click.command()
@click.option(
    "--keep-hours",
    type=click.FloatRange(min=0),
    default=KEEP_HOURS,
    show_default=True,
    help="Files retired since stay, for readers under way; what no commit names yet stays an hour at least.",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Take models into the lake that it names by their place outside, from there or from --models.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@models_option
@lake_option
@json_option
@one_line_errors
def maintain(keep_hours: float, adopt: bool, dry_run: bool, lake: str, as_json: bool) -> None:
    """Seal closed rounds, free files that no table and no seal names. Safe at any time, beside any round.

    With --adopt the lake first takes in what it names and does not hold, so that it stands alone: it can be
    moved or copied, and goes on. Exit code 1 where a model is nowhere to be found; a line names it.
    """
    log, adopted = Log(Lake(lake)), Adopted()
    with progress_on(Console(stderr=True, emoji=False)):
        if adopt:
            adopted = taken_in(log.lake, dry_run=dry_run, advance=reporter().begin("adopt", None, "bytes"))
        advance = reporter().begin("maintain", len(TABLES), "tables")
        try:
            report = maintained(log, keep_hours=keep_hours, dry_run=dry_run, advance=advance)
        except LakeBusy as error:
            raise LakeBusy(f"{error} is maintaining the lake at {log.lake.where}") from None
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "sealed": report.sealed,
                "freed": report.freed,
                "bytes": report.bytes,
                "left": report.untouched,
                "adopted": adopted.taken,
                "missing": adopted.missing,
            }
        )
    else:
        _print(report, adopted, dry_run)
    if adopted.missing:
        sys.exit(1)


def _print(report: Maintained, adopted: Adopted, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    if adopted.taken:
        click.echo(f"{would}adopted: {', '.join(adopted.taken)}, {adopted.bytes / 1e6:,.1f} MB")
    for line in adopted.missing:
        click.echo(printable(f"not adopted: {line}"))
    for line in report.untouched:
        click.echo(printable(f"left alone: {line}"))
    if report.sealed:
        click.echo(f"{would}sealed: {', '.join(report.sealed)}")
    click.echo(f"{would}freed: {len(report.freed):,} files, {report.bytes / 1e6:,.1f} MB")
