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

from flows.commands.options import P, logits_option, one_line_errors, trust_option
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


def report_options(function: Callable[P, None]) -> Callable[P, None]:
    """`--summary` and `--explain`."""
    for option in (
        click.option("--explain", is_flag=True, help="Say too what was read as the answer, and how."),
        click.option(
            "--summary", is_flag=True, help="Counts by outcome and reason, instead of a verdict a line."
        ),
    ):
        function = option(function)
    return function


@grade.command()
@file_argument
@workers_option
@report_options
@click.option(
    "--percent",
    type=click.Choice(["exact", "either"]),
    default="exact",
    show_default=True,
    help="Whether 10% is 10% only, or also 10 and 0.1.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0.0, 1.0, max_open=True),
    default=0.0,
    show_default=True,
    help="Share by which two numbers may differ.",
)
@click.option(
    "--units",
    type=click.Choice(["known", "required", "ignored"]),
    default="known",
    show_default=True,
    help="Units that both sides have must agree; must also be there; or are not looked at.",
)
@one_line_errors
def maths(file: Path, workers: int, summary: bool, explain: bool, **strictness: Any) -> None:
    """Final answers against references: {"answer": ..., "reference": ...} a line.

    Each is a text or a number; a reference may be a list of several that are all accepted.
    """
    from flows.grading.grading import graded
    from schemas.recipes.strictness import Strictness

    with _lines(file) as lines:
        _report(graded("maths", lines, workers, Strictness(**strictness), explain), summary)


@grade.command(name="unit-tests")
@file_argument
@workers_option
@report_options
@click.option(
    "--share", is_flag=True, help="value is the share of the tests that hold.  [default: 1 for all, else 0]"
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.0, 600.0, min_open=True),
    default=6.0,
    show_default=True,
    help="Seconds a program.",
)
@click.option("--packages", default="", help="Installed packages to allow, as numpy,pandas.  [default: none]")
@one_line_errors
def unit_tests(
    file: Path, workers: int, summary: bool, explain: bool, share: bool, timeout: float, packages: str
) -> None:
    """Programs against tests: {"program": ..., "tests": ["assert ..."]} a line.

    Or a record of HumanEval, MBPP, APPS or LiveCodeBench with a completion. Programs run in a sandbox.
    """
    from flows.grading.grading import graded
    from schemas.recipes.strictness import Strictness
    from tasks.verify.verifier import get_verifier

    names = tuple(each.strip() for each in packages.split(",") if each.strip())
    strictness = Strictness(tests="share" if share else "all", timeout=timeout, packages=names)
    get_verifier("unit-tests", strictness=strictness)
    with _lines(file) as lines:
        _report(graded("unit-tests", lines, workers, strictness, explain), summary)


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
@logits_option
@trust_option
@one_line_errors
def judge_(
    file: Path, model: Path | None, rubric: str | None, votes: int | None, batch: int, seed: int, logits: bool
) -> None:
    """A model's judgement by a rubric: {"prompt": ..., "answer": ...} a line.

    A prompt is a text or messages. A reference in the line is shown to the judge where the rubric has room
    for it. Verdicts have votes too.
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
        _write(
            row for group in grouped(lines, batch) for row in judge_lines(engine, chosen, group, seed, logits)
        )


@grade.command(name="reward")
@file_argument
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    required=True,
    help="Hugging Face folder of the preference model, such as a promoted checkpoint of `preference-model`.",
)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Lines at a time.")
@trust_option
@one_line_errors
def reward_(file: Path, model: Path, batch: int) -> None:
    """A preference model's score: {"prompt": ..., "answer": ...} a line.

    A prompt is a text or messages. The value is the raw score, a pass from 0 on: scores of one model compare.
    An answer that holds the model's own marks of a turn is tampered; one too long for its context unscorable.
    """
    from flows.commands.environment import prepare

    prepare()
    from flows.grading.grading import grouped, reward_lines
    from tasks.models.checkpoint import weights_hash
    from tasks.models.heads import load_scalar
    from tasks.verify.reward import version_of

    version = version_of(weights_hash(model))
    load_scalar(model, "sequence")  # ModelError before a line is read
    with _lines(file) as lines:
        _write(row for group in grouped(lines, batch) for row in reward_lines(model, version, group))


@contextmanager
def _lines(file: Path) -> Iterator[Iterable[Any]]:
    """The file's lines, read as they are asked for; a file that cannot be read is refused in one line."""
    from flows.grading.lines import read_lines

    with ExitStack() as stack:
        try:
            stream: IO[bytes] = sys.stdin.buffer if str(file) == "-" else stack.enter_context(file.open("rb"))
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror}") from None
        yield read_lines(stream)


def _report(rows: Iterable[dict[str, Any]], summed: bool) -> None:
    """Each row as a line, or all of them summed up in one."""
    from flows.grading.grading import summary

    _write([summary(rows)] if summed else rows)


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
