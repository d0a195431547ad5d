"""`ratchet replay`: make a checkpoint again from the lake alone."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from flows.commands.options import (
    json_option,
    lake_option,
    models_option,
    one_line_errors,
    print_json,
    progress_on,
    trust_option,
    wide,
)
from warehouse.lake import Lake


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Train here and keep it.  [default: a folder that is gone afterwards]",
)
@models_option
@trust_option
@lake_option
@json_option
@one_line_errors
def replay(checkpoint: str, to: Path | None, lake: str, as_json: bool) -> None:
    """Train a checkpoint again from its frozen snapshot, by the lake alone: are the weights the same?

    The lake is not changed, and may be a copy on another machine. Exit code 0: the weights hash to what is on
    record. 1: they do not, and what differs is named: devices, libraries, the first step, the tensors.
    """
    from flows.pages.replay import replay_lines
    from flows.replay.replay import replay as replayed
    from flows.round.progress import printable, reporter
    from tasks.train.result import OptimizerStep

    with progress_on(Console(stderr=True, emoji=False)):
        advance, done = reporter().begin("replay", None, "steps"), 0

        def progress(step: OptimizerStep) -> None:
            nonlocal done
            advance(step.step - done)
            done = step.step

        told = replayed(Lake(lake), checkpoint, to, progress)
    if as_json:
        print_json(told)
    else:
        for line in replay_lines(told):
            wide().print(printable(line), markup=False, highlight=False, soft_wrap=True)
    if not told["same"]:
        sys.exit(1)
