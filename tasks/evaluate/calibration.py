"""How far a judge can be trusted: its verdicts against labels by known answers or by people.

Agreement and kappa (Cohen 1960) over verdicts, the area under the ROC curve over values, blind spots by
topic, bias by length and by writer among equally right answers, consistency of repeated votes, and for pairs
how often the first place wins. Answers without a verdict count in no agreement; their share is a reading.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.evaluate.passk import Floats, Z, wilson_interval

JUDGED = pl.Schema(
    [
        ("outcome", pl.String),
        ("value", pl.Float64),
        ("votes", pl.List(pl.Float64)),
        ("label", pl.Boolean),
        ("length", pl.Int64),
        ("topic", pl.String),
        ("writer", pl.String),
        ("own", pl.Boolean),
    ]
)
"""What `calibration` reads: a row a judged answer. `label` says whether it is right, `length` is in
characters; `topic`, `writer` and `own` (the judge's model wrote it) may be null."""

PAIRED = pl.Schema({"left_first": pl.Float64, "right_first": pl.Float64, "label": pl.Float64})
"""What `pair_calibration` reads: a row a pair. `left_first` is the share of votes for the answer shown first
when that was left, `right_first` when it was right, null where there was no verdict; `label` is 1 where left
is better, 0 where right is, 0.5 where neither is."""


@dataclass(frozen=True)
class Calibration:
    """One reading, over `n` answers, votes or pairs, with its 95% interval where one is known.

    `subject` is the part it was read on, None for all.
    """

    reading: str
    subject: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int


def calibration(judged: pl.DataFrame) -> list[Calibration]:
    """Every reading over single answers (columns as `JUDGED`)."""
    scored = judged.filter(pl.col("value").is_not_null()).with_columns(said=pl.col("outcome") == "pass")
    none = judged.height - scored.height
    readings = [_share("no verdict", None, none, judged.height), *_agreement(scored)]
    for topic, part in _parts(scored, "topic"):
        readings += [_agrees(part, topic), *_wrong_passed(part, topic)]
    for writer, part in _parts(scored, "writer"):
        readings += [_agrees(part, writer), *_wrong_passed(part, writer)]
    return [*readings, *_consistency(judged), _length_bias(scored), *_self_preference(scored)]


def pair_calibration(paired: pl.DataFrame) -> list[Calibration]:
    """Every reading over pairs (columns as `PAIRED`)."""
    complete = paired.filter(pl.col("left_first").is_not_null() & pl.col("right_first").is_not_null())
    readings = [_share("pairs without a verdict", None, paired.height - complete.height, paired.height)]
    firsts = pl.concat([complete["left_first"], complete["right_first"]])
    readings.append(_mean("first place wins", None, firsts.to_numpy()))
    left = complete.select((pl.col("left_first") + 1 - pl.col("right_first")) / 2).to_series()
    steady = (complete["left_first"] > 0.5) == (complete["right_first"] < 0.5)
    decided = (complete["left_first"] != 0.5) & (complete["right_first"] != 0.5)
    readings.append(_share("both orders agree", None, int((steady & decided).sum()), complete.height))
    clear = complete.with_columns(left=left).filter((pl.col("label") != 0.5) & (pl.col("left") != 0.5))
    right = int(((clear["left"] > 0.5) == (clear["label"] > 0.5)).sum())
    return [*readings, _share("the better one is preferred", None, right, clear.height)]


def kappa(verdict: pl.Series, label: pl.Series) -> float | None:
    """Cohen's kappa of two series of booleans; None where chance alone would agree always."""
    n = len(verdict)
    if not n:
        return None
    agree = float((verdict == label).sum()) / n
    a, b = float(verdict.sum()) / n, float(label.sum()) / n
    chance = a * b + (1 - a) * (1 - b)
    return None if chance == 1.0 else (agree - chance) / (1 - chance)


def roc_auc(value: pl.Series, label: pl.Series) -> float | None:
    """The chance that a right answer has the higher value, ties for half; None without both kinds."""
    right = int(label.sum())
    wrong = len(label) - right
    if not right or not wrong:
        return None
    ranks = float(value.rank("average").filter(label).sum())
    return (ranks - right * (right + 1) / 2) / (right * wrong)


def _agreement(scored: pl.DataFrame) -> Iterator[Calibration]:
    n, label = scored.height, scored["label"]
    yield _agrees(scored, None)
    yield Calibration("kappa", None, kappa(scored["said"], label), None, None, n)
    yield Calibration("ROC AUC", None, roc_auc(scored["value"], label), None, None, n)
    yield from _wrong_passed(scored, None)
    right = scored.filter(pl.col("label"))
    yield _share("right answers failed", None, int((~right["said"]).sum()), right.height)


def _agrees(part: pl.DataFrame, subject: str | None) -> Calibration:
    return _share("agreement", subject, int((part["said"] == part["label"]).sum()), part.height)


def _wrong_passed(part: pl.DataFrame, subject: str | None) -> Iterator[Calibration]:
    wrong = part.filter(~pl.col("label"))
    if wrong.height or subject is None:
        yield _share("wrong answers passed", subject, int(wrong["said"].sum()), wrong.height)


def _parts(scored: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    rows = scored.filter(pl.col(column).is_not_null())
    for (name,), part in sorted(rows.group_by(column), key=lambda one: str(one[0][0])):
        yield str(name), part


def _consistency(judged: pl.DataFrame) -> Iterator[Calibration]:
    """Over answers with two valid votes or more."""
    voted = judged.filter(pl.col("votes").list.len() > 1)
    same = int((voted["votes"].list.n_unique() == 1).sum())
    yield _share("all votes equal", None, same, voted.height)
    spread = voted["votes"].list.std()
    mean = None if not voted.height else float(np.mean(spread.to_numpy()))
    yield Calibration("deviation of votes, points", None, mean, None, None, voted.height)


def _length_bias(scored: pl.DataFrame) -> Calibration:
    """Correlation of value and length, each less its mean among equally right answers (Fisher's interval)."""
    centred = scored.select(
        value=pl.col("value") - pl.col("value").mean().over("label"),
        length=pl.col("length") - pl.col("length").mean().over("label"),
    ).to_numpy()
    n = scored.height
    if n < 5 or not centred.std(axis=0).all():
        return Calibration("length bias, r", None, None, None, None, n)
    r = float(np.corrcoef(centred.T)[0, 1])
    half, middle = Z / math.sqrt(n - 4), math.atanh(max(-0.999999, min(0.999999, r)))
    return Calibration("length bias, r", None, r, math.tanh(middle - half), math.tanh(middle + half), n)


def _self_preference(scored: pl.DataFrame) -> Iterator[Calibration]:
    """Mean value of the judge's own answers less that of others', among right and among wrong ones."""
    rows = scored.filter(pl.col("own").is_not_null())
    if not rows["own"].any() or rows["own"].all():
        return
    for label, subject in ((True, "right answers"), (False, "wrong answers")):
        part = rows.filter(pl.col("label") == label)
        own, others = (part.filter(pl.col("own") == mine)["value"].to_numpy() for mine in (True, False))
        if min(len(own), len(others)) < 2:
            continue
        gap = float(own.mean() - others.mean())
        half = Z * math.sqrt(own.var(ddof=1) / len(own) + others.var(ddof=1) / len(others))
        yield Calibration(
            "own answers above others', points", subject, gap, gap - half, gap + half, part.height
        )


def _share(reading: str, subject: str | None, count: int, n: int) -> Calibration:
    if not n:
        return Calibration(reading, subject, None, None, None, 0)
    return Calibration(reading, subject, count / n, *wilson_interval(count, n), n)


def _mean(reading: str, subject: str | None, values: Floats) -> Calibration:
    if not len(values):
        return Calibration(reading, subject, None, None, None, 0)
    mean = float(values.mean())
    half = Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Calibration(reading, subject, mean, max(0.0, mean - half), min(1.0, mean + half), len(values))
