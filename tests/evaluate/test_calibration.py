"""Promises of the calibration report: each reading is the number its name says, and finds a planted bias."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.evaluate.calibration import (
    JUDGED,
    PAIRED,
    Calibration,
    calibration,
    kappa,
    pair_calibration,
    roc_auc,
)


def judged(rows: list[dict[str, Any]]) -> pl.DataFrame:
    full = {"votes": [1.0, 1.0], "length": 10, "topic": None, "writer": None, "own": None}
    return pl.DataFrame([full | row for row in rows], schema=JUDGED)


def verdict(value: float | None, label: bool, **more: Any) -> dict[str, Any]:
    outcome = "error" if value is None else "pass" if value >= 4 else "fail"
    return {"outcome": outcome, "value": value, "label": label, **more}


def find(found: list[Calibration], reading: str, subject: str | None = None) -> Calibration:
    (one,) = [each for each in found if (each.reading, each.subject) == (reading, subject)]
    return one


def test_agreement_kappa_and_errors_are_what_counting_gives() -> None:
    rows = [verdict(5, True)] * 40 + [verdict(1, True)] * 10 + [verdict(1, False)] * 35
    rows += [verdict(5, False)] * 15 + [verdict(None, True)] * 25
    readings = calibration(judged(rows))
    agreement = find(readings, "agreement")
    assert (agreement.value, agreement.n) == (0.75, 100)
    assert agreement.low == pytest.approx(0.6570, abs=1e-3)
    assert agreement.high == pytest.approx(0.8245, abs=1e-3)
    assert find(readings, "kappa").value == pytest.approx((0.75 - 0.5) / 0.5)
    assert find(readings, "no verdict").value == 0.2
    assert find(readings, "wrong answers passed").value == 0.3
    assert find(readings, "right answers failed").value == 0.2


def test_the_area_under_the_curve_is_the_share_of_ordered_pairs() -> None:
    rng = random.Random(1)
    values = [rng.randint(0, 5) for _ in range(60)]
    labels = [rng.random() < 0.3 + value / 10 for value in values]
    labelled_values = list(zip(values, labels, strict=True))
    pairs = [(a > b) + (a == b) / 2 for a, x in labelled_values if x for b, y in labelled_values if not y]
    area = roc_auc(pl.Series(values, dtype=pl.Float64), pl.Series(labels))
    assert area == pytest.approx(np.mean(pairs))
    assert roc_auc(pl.Series([1.0, 2.0]), pl.Series([True, True])) is None
    assert kappa(pl.Series([True, True]), pl.Series([True, True])) is None


def test_a_blind_topic_shows_in_its_own_line() -> None:
    rows = [verdict(5, False, topic="half")] * 30 + [verdict(1, False, topic="giving")] * 30
    readings = calibration(judged(rows))
    assert find(readings, "agreement", "half").value == 0.0
    assert find(readings, "agreement", "giving").value == 1.0
    assert find(readings, "wrong answers passed", "half").value == 1.0


def test_a_judge_that_likes_length_is_found_and_one_that_likes_what_is_right_is_not() -> None:
    rng = random.Random(2)
    long_is_right = [(rng.random() < 0.5, rng.randint(10, 100)) for _ in range(300)]
    likes_length = judged([verdict(length / 20, label, length=length) for label, length in long_is_right])
    assert (find(calibration(likes_length), "length bias, r").low or 0) > 0.9
    likes_right = [
        verdict(4.0 * label + rng.random(), label, length=rng.randint(10, 20) + 100 * label)
        for label, _ in long_is_right
    ]
    reading = find(calibration(judged(likes_right)), "length bias, r")
    assert (reading.low or 0) < 0 < (reading.high or 0)


def test_self_preference_is_read_among_equally_right_answers() -> None:
    rng = random.Random(3)
    rows = [verdict(2 + own + rng.random() / 4, False, own=own) for own in (True, False) * 40]
    rows += [verdict(4 + rng.random() / 4, True, own=own) for own in (True, False) * 40]
    readings = calibration(judged(rows))
    wrong = find(readings, "own answers above others', points", "wrong answers")
    assert wrong.value == pytest.approx(1.0, abs=0.1)
    assert (wrong.low or 0) > 0
    assert abs(find(readings, "own answers above others', points", "right answers").value or 0) < 0.1


def test_repeat_consistency_counts_answers_whose_votes_are_all_equal() -> None:
    votes = [[5.0, 5.0, 5.0]] * 3 + [[5.0, 4.0, 5.0]] + [[5.0]]
    readings = calibration(judged([verdict(5, True, votes=one) for one in votes]))
    same = find(readings, "all votes equal")
    assert (same.value, same.n) == (0.75, 4)


def pairs(rows: list[tuple[float | None, float | None, float]]) -> list[Calibration]:
    return pair_calibration(pl.DataFrame(rows, schema=PAIRED, orient="row"))


def test_a_judge_that_takes_the_first_is_found_by_turning_the_pair() -> None:
    readings = pairs([(1.0, 1.0, 1.0)] * 20 + [(None, 1.0, 1.0)] * 5)
    assert find(readings, "first place wins").value == 1.0
    assert find(readings, "both orders agree").value == 0.0
    assert find(readings, "the better one is preferred").n == 0
    assert find(readings, "pairs without a verdict").value == 0.2


def test_a_judge_that_knows_the_better_one_has_no_place() -> None:
    readings = pairs([(1.0, 0.0, 1.0), (0.0, 1.0, 0.0)] * 20 + [(1.0, 0.0, 0.5)] * 10)
    assert find(readings, "first place wins").value == 0.5
    assert find(readings, "both orders agree").value == 1.0
    assert find(readings, "the better one is preferred").value == 1.0


def test_nothing_judged_gives_readings_without_a_value() -> None:
    assert all(one.value is None for one in calibration(judged([])))
    assert all(one.value is None for one in pairs([]))
