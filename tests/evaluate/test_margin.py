"""Promises of the non-inferiority test: a ratio of paired accuracies, its interval, the surely below."""

from __future__ import annotations

import random

import pytest

from tasks.evaluate.margin import margin


def marks(champion: float, challenger: float, n: int, seed: int) -> tuple[list[bool], list[bool]]:
    """Marks of n prompts on which both have the same luck, and right answers as often as is said."""
    rng = random.Random(seed)
    lots = [rng.random() for _ in range(n)]
    noise = [lot if rng.random() < 0.7 else rng.random() for lot in lots]
    return [lot < champion for lot in lots], [lot < challenger for lot in noise]


def test_the_ratio_is_of_the_same_prompts_and_lies_in_its_interval() -> None:
    result = margin([True] * 80 + [False] * 20, [True] * 76 + [False] * 24, 0.95)
    assert result.ratio == 0.95
    assert result.low < 0.95 < result.high
    assert result.below == pytest.approx(0.5)


def test_what_fell_far_is_surely_below_and_what_stayed_is_surely_not() -> None:
    assert margin(*marks(0.8, 0.5, 1500, 1), 0.95).below < 1e-6
    assert margin(*marks(0.8, 0.8, 1500, 2), 0.95).above < 0.05
    few = margin(*marks(0.8, 0.76, 60, 3), 0.95)
    assert few.below > 0.05, "so few prompts say nothing surely"
    assert few.above > 0.05


def test_a_true_margin_is_called_surely_below_as_often_as_alpha_says() -> None:
    found = [margin(*marks(0.8, 0.76, 400, seed), 0.95) for seed in range(300)]
    wrong = sum(one.below <= 0.05 for one in found)
    assert 3 <= wrong <= 27, "5% of 300"
    inside = sum(one.low <= 0.95 <= one.high for one in found)
    assert inside >= 275, "95% of 300"


def test_prompts_of_one_problem_count_as_one_measurement() -> None:
    champion, challenger = marks(0.8, 0.7, 200, 5)
    alone = margin(champion, challenger, 0.95)
    doubled = margin(champion * 5, challenger * 5, 0.95, [str(place % 200) for place in range(1000)])
    assert doubled.below == pytest.approx(alone.below)
    assert (doubled.low, doubled.high) == pytest.approx((alone.low, alone.high))


def test_nothing_to_lose_is_not_lost_and_other_prompts_are_an_error() -> None:
    assert margin([False] * 5, [False] * 5, 0.95).below == 1.0
    assert margin([True] * 5, [True] * 5, 0.95).below == 1.0
    assert margin([True] * 5, [False] * 5, 0.95).below == 0.0
    with pytest.raises(ValueError, match="the same prompts twice, not 2 and 1"):
        margin([True, True], [True], 0.95)
