"""The command line: run rounds, see where a loop stands, ask the lake by SQL, trace what made a weight."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import click
from rich.console import Console

from flows.progress import printable
from schemas.errors import RatchetError
from warehouse.lake import Lake

P = ParamSpec("P")


def lake_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--lake PATH`, as every command has it."""
    return click.option(
        "--lake",
        envvar="RATCHET_LAKE",
        default="lake",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder of the lake; also from RATCHET_LAKE.",
    )(function)


def json_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--json`, as every command has it."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(function)


class Terminated(BaseException):
    """SIGTERM: like Ctrl-C, it ends the run and nothing swallows it."""


def _terminated(*_: object) -> None:
    raise Terminated


def one_line_errors(function: Callable[P, None]) -> Callable[P, None]:
    """Refusals become one line on standard error and an exit code; Ctrl-C says how to go on."""

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        signal.signal(signal.SIGTERM, _terminated)
        try:
            function(*args, **kwargs)
        except RatchetError as error:
            click.echo(f"ratchet: {printable(' '.join(str(error).split()))}", err=True)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, Terminated):
            click.echo("ratchet: stopped; the same command goes on where it was", err=True)
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ratchet")
def main() -> None:
    """Self-improvement rounds for language models, with every fact kept in a lake.

    \b
    ratchet run rft --rounds 3      three rounds of rejection-sampling fine-tuning on the tutor
    ratchet status                  what each round did
    ratchet sql "FROM funnel"       ask the lake
    ratchet trace ID                the story of a checkpoint or of a candidate
    """


@main.command()
@click.argument("recipe")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="Rounds of this night.  [default: what an interrupted night lacks, else 1]",
)
@click.option(
    "--loop", default="night", show_default=True, help="Name of the loop; a new name begins a new one."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of a causal LM to begin from.  [default: the tutor]",
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="JSONL file with question and answer, such as GSM8K's own.  [default: the tutor's stories]",
)
@click.option(
    "--eval-prompts",
    type=click.Path(path_type=Path),
    help="JSONL file of held-out prompts.  [default: a share of --prompts]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One recipe value, such as sampling.samples=8; may be repeated.",
)
@lake_option
@json_option
@one_line_errors
def run(
    recipe: str,
    rounds: int | None,
    loop: str,
    model: Path | None,
    prompts: Path | None,
    eval_prompts: Path | None,
    settings: tuple[str, ...],
    lake: Path,
    as_json: bool,
) -> None:
    """Run improvement rounds by RECIPE: a recipe's name (rft) or a YAML file of its values.

    A night that was interrupted goes on where it was. A loop keeps the recipe of its last round unless
    RECIPE is a file or --set changes it.
    """
    from flows.environment import prepare

    prepare()
    from flows.choice import chosen_recipe
    from flows.nightly import check, night
    from flows.server import prefect_server

    chosen = chosen_recipe(recipe, lake, loop, model, prompts, eval_prompts, settings)
    console = Console(stderr=True, emoji=False)
    with ExitStack() as stack:
        ready = stack.enter_context(prefect_server())
        check(chosen, loop, str(lake), str(model) if model else None)  # before anything is written
        ready()
        stack.enter_context(_progress(console))
        rounds_done = night(chosen, loop, rounds, str(lake), str(model) if model else None)
    if as_json:
        _print_json(rounds_done)
    else:
        from flows.show import night_table

        night_table(_wide(), rounds_done, str(lake))
    if rounds_done[-1]["verdict"] == "stopped":
        raise RatchetError(f"round {rounds_done[-1]['round']} stopped the night: {rounds_done[-1]['reason']}")


@main.command()
@click.option("--loop", help="Only this loop.  [default: all]")
@lake_option
@json_option
@one_line_errors
def status(loop: str | None, lake: Path, as_json: bool) -> None:
    """What every round did: funnel, distinct paths, accuracy, verdict and why, and the monitors."""
    from flows.show import night_table
    from flows.status import status as rounds_of

    rounds = rounds_of(Lake(lake), loop)
    if as_json:
        _print_json(rounds)
        return
    for name in dict.fromkeys(r["loop"] for r in rounds):
        night_table(_wide(), [r for r in rounds if r["loop"] == name], str(lake))


@main.command()
@click.argument("query", required=False)
@lake_option
@json_option
@one_line_errors
def sql(query: str | None, lake: Path, as_json: bool) -> None:
    """Ask the lake: one SELECT over its tables and views. Without QUERY: what there is to ask.

    QUERY "-" is read from standard input. Nothing but SELECT runs, and nothing outside the lake is read.
    """
    from flows.show import rows_table
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
        _print_json(rows)
    elif rows:
        _wide().print(rows_table(rows))
    else:
        click.echo("no rows")


@main.command()
@click.argument("row_id", metavar="ID")
@lake_option
@json_option
@one_line_errors
def trace(row_id: str, lake: Path, as_json: bool) -> None:
    """The story of a checkpoint (ckpt-...) back to its base, or the whole life of a candidate (cand-...)."""
    from flows.show import story
    from warehouse.lineage import trace as told

    found = told(Lake(lake), row_id)
    if as_json:
        _print_json(found)
    else:
        story(_wide(), found)


def _progress(console: Console) -> ExitStack:
    from flows.progress import Lines, Live, reporting

    stack = ExitStack()
    to = stack.enter_context(Live(console)) if console.is_terminal else Lines()
    stack.enter_context(reporting(to))
    return stack


def _wide() -> Console:
    """A console as wide as the terminal, or as wide as tables need where there is none."""
    return Console(emoji=False) if sys.stdout.isatty() else Console(width=160, emoji=False)


def _print_json(value: object) -> None:
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=True))


def _plain(value: object) -> object:
    """JSON has no NaN and no dates: they become null and ISO text."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


if __name__ == "__main__":
    main()
