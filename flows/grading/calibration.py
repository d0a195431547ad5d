"""Calibrating a judge: its verdicts on labelled answers, one by one and in pairs, become readings."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from flows.grading.lines import LONGEST, parsed, prompt_in, text_of
from schemas.errors import PromptFileError
from tasks.evaluate.calibration import JUDGED, PAIRED, Calibration, calibration, pair_calibration
from tasks.generate.engine import Engine, Progress
from tasks.models.conversation import Conversation, plain_text, prompts_of
from tasks.verify.judge.judge import JudgeInput, judge_answers
from tasks.verify.judge.pairs import Pair, judge_pairs
from tasks.verify.judge.rubric import Rubric
from tutor.labelled import LABELLED

ATTACKS = ("key", "spoof")
"""Writers whose texts are attacks: read by themselves, and in no reading of the whole."""


def read_labelled(file: Path) -> pl.DataFrame:
    """Labelled answers from JSONL (columns as `LABELLED`); PromptFileError names the first bad line.

    `prompt` (a text or messages), `answer` and `label` (true: right) are needed; `topic`, `writer` and `own`
    (the judge's model wrote it) may be absent.
    """
    rows = []
    try:
        with file.open("rb") as stream:
            for number, data in enumerate(iter(lambda: stream.readline(LONGEST), b""), start=1):
                rows.append(_labelled_row(file, number, data))
    except OSError as error:
        raise PromptFileError(f"{file}: {error.strerror}") from None
    if not rows:
        raise PromptFileError(f"{file} holds no labelled answer")
    return pl.DataFrame(rows, schema=LABELLED)


def judged_answers(
    engine: Engine,
    rubric: Rubric,
    answers: pl.DataFrame,
    seed: int,
    progress: Progress | None = None,
    logits: bool = False,
) -> pl.DataFrame:
    """The judge's verdicts beside the labels (columns as `JUDGED`); with `logits` by expected points."""
    prompts = prompts_of(answers, "prompt")
    inputs = [JudgeInput(prompt, text) for prompt, text in zip(prompts, answers["answer"], strict=True)]
    verdicts = judge_answers(engine, rubric, inputs, seed=seed, progress=progress, logits=logits)
    return answers.with_columns(
        pl.Series("outcome", [one.verdict.outcome for one in verdicts], dtype=pl.String),
        pl.Series("value", [one.verdict.value for one in verdicts], dtype=pl.Float64),
        pl.Series("votes", [list(one.verdict.steps) for one in verdicts], dtype=pl.List(pl.Float64)),
        length=pl.col("answer").str.len_chars().cast(pl.Int64),
    ).select(JUDGED.names())


def judged_pairs(
    engine: Engine,
    rubric: Rubric,
    answers: pl.DataFrame,
    most: int,
    seed: int,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Up to `most` pairs of answers to one prompt, judged in both orders (columns as `PAIRED`)."""
    sample = list(islice(_pairs(answers, random.Random(f"pairs:{seed}")), most))  # noqa: S311
    judged = judge_pairs(engine, rubric, [pair for pair, _ in sample], seed=seed, progress=progress)
    rows = [
        {"left_first": one.left_first.first, "right_first": one.right_first.first, "label": label}
        for (_, label), one in zip(sample, judged, strict=True)
    ]
    return pl.DataFrame(rows, schema=PAIRED)


def readings(judged: pl.DataFrame, paired: pl.DataFrame) -> list[Calibration]:
    """Every reading; attacks are left out of all but their own."""
    attacks = judged.filter(pl.col("writer").is_in(ATTACKS))
    honest = judged.filter(~pl.col("writer").is_in(ATTACKS).fill_null(False))
    result = calibration(honest)
    if attacks.height:
        result += [
            one for one in calibration(attacks) if one.subject in ATTACKS and one.reading != "agreement"
        ]
    return result + (pair_calibration(paired) if paired.height else [])


def _pairs(answers: pl.DataFrame, rng: random.Random) -> Iterator[tuple[Pair, float]]:
    """Two different answers to each prompt in a drawn order, and whether left is better (1, 0 or 0.5)."""
    honest = answers.filter(
        ~pl.col("writer").is_in(ATTACKS).fill_null(False) & pl.col("answer").is_not_null()
    )
    for _, part in honest.group_by("prompt", "messages", maintain_order=True):
        distinct = part.unique("answer", keep="first", maintain_order=True)
        if distinct.height < 2:
            continue
        left, right = rng.sample(distinct.select("answer", "label").rows(), 2)
        yield Pair(prompts_of(part, "prompt")[0], left[0], right[0]), (1.0 + left[1] - right[1]) / 2


def _labelled_row(file: Path, number: int, data: bytes) -> dict[str, Any]:
    line = parsed(number, data)
    if line.value is None:
        raise PromptFileError(f"{file}, line {number}: {line.why}")
    value = line.value
    try:
        prompt = prompt_in(value)
        row: dict[str, Any] = {
            "prompt": plain_text(prompt),
            "messages": prompt.json if isinstance(prompt, Conversation) else None,
            "answer": text_of(value, "answer"),
            "label": value.get("label"),
            "own": value.get("own"),
        }
        row |= {name: text_of(value, name) if name in value else None for name in ("topic", "writer")}
    except ValueError as error:
        raise PromptFileError(f"{file}, line {number}: {error}") from None
    if not isinstance(row["label"], bool) or not isinstance(row["own"], bool | None):
        raise PromptFileError(f"{file}, line {number}: 'label' must be true or false, and so must 'own'")
    return row
