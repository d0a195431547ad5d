"""Promises of the estimates: pass@k is the chance itself, votes are counted fairly, intervals cover."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from tasks.evaluate.passk import design_effect, majority_vote, mean_interval, pass_at_k, wilson_interval


def test_pass_at_k_is_the_share_of_all_draws_of_k_that_hold_a_right_one() -> None:
    for n in range(1, 8):
        for right in range(n + 1):
            for k in range(1, n + 1):
                draws = list(combinations(range(n), k))
                share = sum(any(i < right for i in draw) for draw in draws) / len(draws)
                assert pass_at_k([n], [right], k)[0] == pytest.approx(share)


def test_pass_at_k_is_the_binomial_quotient_where_factorials_overflow() -> None:
    for n, right, k in ((2000, 3, 1000), (5000, 1, 10), (10_000, 40, 100)):
        exact = 1 - math.comb(n - right, k) / math.comb(n, k)
        assert pass_at_k([n], [right], k)[0] == pytest.approx(exact, rel=1e-9)


def test_pass_at_1_is_the_share_of_right_samples() -> None:
    assert pass_at_k([8, 4, 4], [2, 0, 4], 1).tolist() == pytest.approx([0.25, 0.0, 1.0])


def test_pass_at_k_does_not_depend_on_how_many_were_drawn() -> None:
    """Without bias: over many prompts of solving chance p the mean is 1 - (1 - p)^k, from 5 samples or 20."""
    rng = np.random.default_rng(0)
    for n in (5, 20):
        right = rng.binomial(n, 0.3, size=40_000)
        assert pass_at_k(np.full(40_000, n), right, 4).mean() == pytest.approx(1 - 0.7**4, abs=0.006)


@pytest.mark.parametrize(
    ("drawn", "right", "k"),
    [([4], [1], 5), ([4, 2], [1, 1], 3), ([4], [1], 0), ([4], [5], 1), ([4], [-1], 1)],
)
def test_pass_at_k_refuses_what_cannot_be(drawn: list[int], right: list[int], k: int) -> None:
    with pytest.raises(ValueError, match=r"samples"):
        pass_at_k(drawn, right, k)


def test_pass_at_k_refuses_columns_of_different_length() -> None:
    with pytest.raises(ValueError, match=r"\(2,\), \(1,\)"):
        pass_at_k([4, 4], [1], 1)


def test_the_answer_most_samples_gave_wins() -> None:
    assert majority_vote(["3", "5", "5", None, None, None]) == "5"


def test_among_equals_the_first_given_wins() -> None:
    assert majority_vote([None, "7", "2", "2", "7"]) == "7"
    assert majority_vote(["2", "7", "7", "2"]) == "2"


def test_no_answer_never_wins_a_vote() -> None:
    assert majority_vote([None, None, "4"]) == "4"
    assert majority_vote([None, None]) is None
    assert majority_vote([]) is None


def test_wilsons_interval_is_the_published_one() -> None:
    """R's prop.test(81, 263, correct = FALSE), the example of Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilsons_bounds_are_where_the_score_test_is_just_significant() -> None:
    for passed, n in ((3, 10), (299, 600), (599, 600)):
        for bound in wilson_interval(passed, n):
            assert abs(passed / n - bound) / math.sqrt(bound * (1 - bound) / n) == pytest.approx(
                1.959964, abs=1e-5
            )


@pytest.mark.parametrize(("passed", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilsons_interval_refuses_what_is_no_proportion(passed: int, n: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        wilson_interval(passed, n)


@pytest.mark.parametrize(("prompts", "chance"), [(200, 0.2), (100, 0.003), (100, 0.5), (20, 0.1)])
def test_nineteen_of_twenty_intervals_of_a_mean_cover_it(prompts: int, chance: float) -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        low, high = mean_interval(pass_at_k(np.full(prompts, 8), rng.binomial(8, chance, size=prompts), 4))
        hits += low <= 1 - (1 - chance) ** 4 <= high
    assert 0.935 < hits / 2000 < 0.995


@pytest.mark.parametrize("n", [1, 3, 100])
def test_a_mean_of_0_or_1_has_an_interval_too(n: int) -> None:
    low, high = mean_interval(np.zeros(n))
    assert low == 0.0
    assert wilson_interval(0, n)[1] * 0.8 < high < wilson_interval(0, n)[1] * 1.4
    assert mean_interval(np.ones(n)) == pytest.approx((1 - high, 1.0))


def test_prompts_that_tell_one_problem_make_intervals_as_wide_as_they_are_alike() -> None:
    """Over 200 problems in groups of one to seven, solved or missed as a whole, 19 of 20 intervals cover."""
    rng, hits, bare = np.random.default_rng(2), 0, 0
    problems = [str(n) for n in range(200) for _ in range(1 if n % 2 else 7)]
    sizes = [1 if n % 2 else 7 for n in range(200)]
    for _ in range(1000):
        marks = np.repeat(rng.random(200) < 0.4, sizes)
        passed, n = int(marks.sum()), len(marks)
        low, high = wilson_interval(passed, n, design_effect(marks, problems))
        hits += low <= 0.4 <= high
        low, high = wilson_interval(passed, n)
        bare += low <= 0.4 <= high
    assert hits / 1000 == pytest.approx(0.95, abs=0.025)
    assert bare / 1000 < 0.7


def test_a_design_effect_is_one_where_nothing_repeats_and_never_less() -> None:
    assert design_effect([1, 0, 1, 1], ["a", "b", "c", "d"]) == 1.0
    assert design_effect([1, 0, 0, 1], ["a", "a", "b", "b"]) == 1.0
    assert design_effect([1, 1, 0, 0], ["a", "a", "b", "b"]) > 1.9
    assert design_effect([1, 1, 1], ["a", "a", "b"]) == pytest.approx(5 / 3)
    assert wilson_interval(81, 263, 2.0) == pytest.approx(wilson_interval(81 * 50, 263 * 50, 100.0))
    low, high = mean_interval(np.array([0.2, 0.6, 0.4, 0.5] * 30), 4.0)
    assert high - low == pytest.approx(
        2 * np.subtract(*mean_interval(np.array([0.2, 0.6, 0.4, 0.5] * 30))[::-1])
    )


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_interval(np.array([]))
