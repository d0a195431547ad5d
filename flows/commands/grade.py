"""`ratchet grade`: a verifier on its own, from JSONL to JSONL."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console

from flows.commands.options import P, one_line_errors, trust_option
from schemas.errors import BadInput


def file_argument(function: Callable[P, None]) -> Callable[P, None]:
    """FILE, standard input where it is not given."""
    return click.argument("file", type=click.Path(path_type=Path), default=Path("-"), required=False)(
        function
    )


def workers_option(function: Callable[P, None]) -> Callable[P, None]:
    """`--workers N`."""
    return click.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        help="Processes; with more than one, lines are read ahead in groups.",
    )(function)


@click.group()
def grade() -> None:
    """Grade JSONL with one verifier: a JSON verdict a line, in order, on standard output.

    Each verdict has line, outcome (pass, fail, timeout, error, tampered or unscorable), value (null unless
    pass or fail), reason, verifier and version, and the line's id where it has one. A line that cannot be
    read is unscorable. FILE is standard input unless given. Output is always JSON; no lake is opened.
    """


@grade.command()
@file_argument
@workers_option
@one_line_errors
def maths(file: Path, workers: int) -> None:
    """Final answers against references: {"answer": ..., "reference": ...} a line."""
    from flows.grading.grading import graded

    with _lines(file) as lines:
        _write(graded("maths", lines, workers))


@grade.command(name="unit-tests")
@file_argument
@workers_option
@one_line_errors
def unit_tests(file: Path, workers: int) -> None:
    """Programs against tests: {"program": ..., "tests": ["assert ..."]} a line.

    Or HumanEval's own fields (prompt, test, entry_point) with a completion. Programs run in a sandbox.
    """
    from flows.grading.grading import graded
    from tasks.verify.verifier import get_verifier

    get_verifier("unit-tests")
    with _lines(file) as lines:
        _write(graded("unit-tests", lines, workers))


@grade.command(name="judge")
@file_argument
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of the judge.  [default: the tutor's judge]",
)
@click.option(
    "--rubric", help="Rubric, or a YAML file of one.  [default: story for the tutor, else additive]"
)
@click.option("--votes", type=click.IntRange(1, 100), help="Judgements a line.  [default: the rubric's]")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Lines at a time.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the judgements.")
@trust_option
@one_line_errors
def judge_(
    file: Path, model: Path | None, rubric: str | None, votes: int | None, batch: int, seed: int
) -> None:
    """A model's judgement by a rubric: {"prompt": ..., "answer": ...} a line.

    A reference in the line is shown to the judge where the rubric has room for it. Verdicts have votes too.
    """
    from flows.commands.environment import prepare

    prepare()
    from flows.grading.grading import grouped, judge_lines
    from flows.writers.judges import chosen_rubric
    from tasks.generate.embedded.embedded import EmbeddedEngine
    from tutor import JUDGE

    folder = model or JUDGE
    chosen = chosen_rubric(folder, rubric, "points", votes)
    with EmbeddedEngine(folder) as engine, _lines(file) as lines:
        _write(row for group in grouped(lines, batch) for row in judge_lines(engine, chosen, group, seed))


@contextmanager
def _lines(file: Path) -> Iterator[Iterable[Any]]:
    """The file's lines, read as they are asked for; a file that cannot be read is refused in one line."""
    from flows.grading.grading import read_lines

    with ExitStack() as stack:
        try:
            stream: IO[bytes] = sys.stdin.buffer if str(file) == "-" else stack.enter_context(file.open("rb"))
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror}") from None
        yield read_lines(stream)


def _write(rows: Iterable[dict[str, Any]]) -> None:
    """Each row as a line as soon as it is there; a bar on standard error where that alone is a terminal."""
    from flows.commands.options import progress_on
    from flows.round.progress import reporter

    console = Console(stderr=True, emoji=False)
    with ExitStack() as stack:
        if console.is_terminal and not sys.stdout.isatty():
            stack.enter_context(progress_on(console))
        advance = reporter().begin("grade", None, "verdicts")
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=True) + "\n")
            sys.stdout.flush()
            advance(1)
