"""`ratchet calibrate`: how far a judge can be trusted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from flows.commands.options import (
    json_option,
    logits_option,
    one_line_errors,
    print_json,
    progress_on,
    trust_option,
    wide,
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of the judge.  [default: the tutor's judge]",
)
@click.option(
    "--rubric", help="Rubric of points, or a YAML file.  [default: story for the tutor, else additive]"
)
@click.option(
    "--pair-rubric",
    help="Pairwise rubric, or a YAML file.  [default: story-pair for the tutor, else pairwise]",
)
@click.option("--votes", type=click.IntRange(1, 100), help="Judgements an answer.  [default: the rubric's]")
@click.option(
    "--pairs", type=click.IntRange(min=0), default=300, show_default=True, help="Most pairs judged."
)
@click.option(
    "--stories", type=click.IntRange(min=1), default=300, show_default=True, help="Without FILE: how many."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."
)
@logits_option
@trust_option
@json_option
@one_line_errors
def calibrate(
    file: Path | None,
    model: Path | None,
    rubric: str | None,
    pair_rubric: str | None,
    votes: int | None,
    pairs: int,
    stories: int,
    seed: int,
    logits: bool,
    as_json: bool,
) -> None:
    """Hold a judge against labels: agreement, blind spots, biases of place, length and writer, consistency.

    FILE is JSONL with prompt (a text or messages), answer and label (true: right), and topic, writer and own
    where known. Without it: the tutor's stories, answered by careful and careless writers and by the tutor's
    base, and labelled by the stories' known answers. No lake is opened.
    """
    from flows.commands.environment import prepare

    prepare()
    from flows.grading.calibration import judged_answers, judged_pairs, read_labelled, readings
    from flows.round.progress import reporter
    from flows.writers.judges import chosen_rubric
    from tasks.generate.embedded.embedded import EmbeddedEngine
    from tutor import BASE, JUDGE
    from tutor.labelled import labelled

    folder = model or JUDGE
    points = chosen_rubric(folder, rubric, "points", votes)
    pairwise = chosen_rubric(folder, pair_rubric, "pairwise")
    answers = None if file is None else read_labelled(file)
    with EmbeddedEngine(folder) as engine, progress_on(Console(stderr=True, emoji=False)):
        if answers is None:
            with EmbeddedEngine(BASE) as writer:
                answers = labelled(seed, stories, writer)
        total = answers.height * points.votes
        advance = reporter().begin("judge", total, "judgements")
        judged = judged_answers(engine, points, answers, seed, advance, logits)
        advance = reporter().begin("judge pairs", pairs * 2 * pairwise.votes, "judgements")
        paired = judged_pairs(engine, pairwise, answers, pairs, seed, advance)
    values = [asdict(one) for one in readings(judged, paired)]
    if as_json:
        print_json({"rubric": points.label, "pair_rubric": pairwise.label, "readings": values})
    else:
        _print(values, f"judge {folder.name}, rubrics {points.label} and {pairwise.label}")


def _print(readings: list[dict[str, Any]], title: str) -> None:
    from flows.pages.show import rows_table

    rows = [
        {
            "reading": one["reading"],
            "of": one["subject"] or "",
            "value": _number(one["value"]),
            "95% interval": "" if one["low"] is None else f"[{one['low']:.3f}, {one['high']:.3f}]",
            "n": one["n"],
        }
        for one in readings
    ]
    wide().print(rows_table(rows, title=title))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
