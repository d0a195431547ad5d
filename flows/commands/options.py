"""What every command shares: `--lake` and `--json`, refusals in one line, JSON that any reader takes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import click
from rich.console import Console

from flows.round.progress import printable
from schemas.errors import RatchetError
from tasks.models.remote_code import TRUST, trust
from warehouse.models.location import SEARCHED, search_in

P = ParamSpec("P")


def lake_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--lake PATH`, as every command has it."""
    return click.option(
        "--lake",
        envvar="RATCHET_LAKE",
        default="lake",
        show_default=True,
        metavar="PATH",
        help="Folder of the lake, or s3://bucket/prefix; also from RATCHET_LAKE.",
    )(function)


def json_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--json`, as every command has it."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(function)


def trust_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--trust-remote-code`, as every command has it that loads a model; commands need not take it."""
    return click.option(
        "--trust-remote-code",
        is_flag=True,
        expose_value=False,
        callback=lambda _context, _option, value: trust() if value else None,
        help=f"Run Python code that models bring; read it before.  Also from {TRUST}=1.",
    )(function)


def logits_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--logits`."""
    return click.option(
        "--logits",
        is_flag=True,
        help="A vote is the points that the judge expects, by its probabilities of each verdict.",
    )(function)


def models_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--models DIR`, as every command has it that uses or takes in models; commands need not take it."""

    def search(_context: object, _option: object, folders: tuple[Path, ...]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise click.BadParameter(f"there is no folder {folder}")
            search_in(folder)

    return click.option(
        "--models",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=search,
        help=f"Search this folder by hash for models the lake names and lacks; also from {SEARCHED}.",
    )(function)


def eval_prompts_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--eval-prompts PATH`, beside `--prompts`."""
    return click.option(
        "--eval-prompts",
        type=click.Path(path_type=Path),
        help="File or folder of held-out prompts.  [default: the test split of --prompts, or a share]",
    )(function)


def columns_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--columns ROLE=COLUMN,...`, beside `--prompts`."""
    return click.option(
        "--columns",
        metavar="ROLE=COLUMN,...",
        help="Which columns of the prompts are what, where their names do not say it, such as "
        "question=problem,answer=key.",
    )(function)


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


def wide() -> Console:
    """A console as wide as the terminal, or as wide as tables need where there is none."""
    return Console(emoji=False) if sys.stdout.isatty() else Console(width=160, emoji=False)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    from flows.pages.rows import plain

    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=True))


def progress_on(console: Console) -> ExitStack:
    """Progress for the time of a block: a bar on a terminal, lines elsewhere."""
    from flows.round.progress import Lines, Live, reporting

    stack = ExitStack()
    to = stack.enter_context(Live(console)) if console.is_terminal else Lines()
    stack.enter_context(reporting(to))
    return stack
