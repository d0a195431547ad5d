"""Promises of the measures of a preference model: by hand, and what a calibrated model gets."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from tasks.evaluate.measure import Metric
from tasks.evaluate.preferences import pair_metrics


def measured(
    margins: list[float], probabilities: list[float] | None = None, longer: list[int] | None = None
) -> dict[str, Metric]:
    count = len(margins)
    frame = pl.DataFrame(
        {
            "margin": margins,
            "probability": probabilities or [1.0] * count,
            "longer": longer or [0] * count,
        }
    )
    return {one.name: one for one in pair_metrics(frame, [str(number) for number in range(count)])}


def test_measures_by_hand() -> None:
    even = math.log(3)  # a chance of 0.75
    found = measured([even, even, -even, 0.0], longer=[5, -5, 5, 0])
    assert found["accuracy"].value == 0.5  # a margin of 0 prefers nothing
    assert found["margin"].value == pytest.approx(even / 4)
    assert found["loss"].value == pytest.approx(-(2 * math.log(0.75) + math.log(0.25) + math.log(0.5)) / 4)
    assert found["brier"].value == pytest.approx((2 * 0.25**2 + 0.75**2 + 0.5**2) / 4)
    assert (found["sure 0.7-0.8"].value, found["sure 0.7-0.8"].n) == (pytest.approx(0.75), 3)
    assert found["right 0.7-0.8"].value == pytest.approx(2 / 3)
    assert found["ece"].value == pytest.approx((3 * abs(2 / 3 - 0.75) + abs(0.0 - 0.5)) / 4)
    assert found["margin, preferred is longer"].value == pytest.approx(0.0)
    assert found["accuracy, preferred is longer"].value == 0.5
    assert found["margin, preferred is shorter"].value == pytest.approx(even)
    assert all(
        one.low is None or one.high is None or one.low <= one.value <= one.high for one in found.values()
    )


def test_soft_labels_are_held_against_their_probability() -> None:
    found = measured([math.log(3)] * 4, [0.75] * 4)
    assert found["ece"].value == pytest.approx(0.0)
    assert found["brier"].value == pytest.approx(0.0)
    assert found["loss"].value == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_a_model_whose_chances_are_true_is_calibrated_and_a_boastful_one_is_not() -> None:
    draws = np.random.default_rng(3)
    true = draws.normal(0.0, 2.0, 20_000)
    happened = draws.random(true.size) < 1 / (1 + np.exp(-true))
    margins = np.where(happened, true, -true)  # of what came out preferred
    calm, loud = measured(margins.tolist()), measured((3 * margins).tolist())
    assert calm["ece"].value < 0.01
    assert loud["ece"].value > 0.08
    assert calm["accuracy"].value == loud["accuracy"].value
    assert calm["ece"].high < loud["ece"].low  # type: ignore[operator]
    few = measured(margins[:100].tolist())
    assert few["ece"].high - few["ece"].low > 3 * (calm["ece"].high - calm["ece"].low)  # type: ignore[operator]
    assert few["ece"] == measured(margins[:100].tolist())["ece"]
    for name, one in calm.items():
        if name.startswith("right"):
            assert one.low is not None
            assert one.high is not None
            assert one.low - 0.01 <= calm[name.replace("right", "sure")].value <= one.high + 0.01


def test_a_model_that_goes_by_length_is_seen() -> None:
    longer = list(range(-20, 21))
    by_length = measured([0.1 * one + 0.01 * (one % 3) for one in longer], longer=longer)
    assert by_length["margin by length, r"].value > 0.99
    assert by_length["accuracy, preferred is longer"].value > 0.9
    assert by_length["accuracy, preferred is shorter"].value < 0.1
    blind = measured([(-1) ** one * 1.0 for one in longer], longer=longer)
    assert blind["margin by length, r"].low < 0 < blind["margin by length, r"].high  # type: ignore[operator]


def test_pairs_of_one_problem_widen_the_interval() -> None:
    margins, same = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0] * 4, [str(one // 3) for one in range(24)]
    frame = pl.DataFrame({"margin": margins, "probability": [1.0] * 24, "longer": [1] * 24})
    alone = {one.name: one for one in pair_metrics(frame, [str(one) for one in range(24)])}
    shared = {one.name: one for one in pair_metrics(frame, same)}
    for name in ("accuracy", "margin"):
        widths = [one.high - one.low for one in (alone[name], shared[name])]  # type: ignore[operator]
        assert widths[1] > 1.3 * widths[0]
