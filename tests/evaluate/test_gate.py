"""Promises of the gate: only a challenger that is surely better is promoted, and an audit's stop is final."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tasks.evaluate.gate import decide, exchanged, mcnemar


def paired(wins: int, losses: int, both: int = 5, neither: int = 5) -> tuple[list[bool], list[bool]]:
    champion = [False] * wins + [True] * losses + [True] * both + [False] * neither
    challenger = [True] * wins + [False] * losses + [True] * both + [False] * neither
    return champion, challenger


def test_the_p_value_is_the_share_of_all_coin_throws_with_so_many_heads() -> None:
    for n in range(11):
        throws = [sum(throw) for throw in product((0, 1), repeat=n)]
        for wins in range(n + 1):
            share = sum(heads >= wins for heads in throws) / len(throws)
            assert mcnemar(wins, n - wins) == pytest.approx(share)


def test_the_p_value_is_that_of_the_tables() -> None:
    """The exact binomial: R's binom.test(15, 20, alternative = "greater") gives 0.02069."""
    assert mcnemar(15, 5) == pytest.approx(0.02069, abs=5e-6)
    assert mcnemar(0, 0) == 1.0
    assert 0 < mcnemar(900, 100) < 1e-150


def test_a_better_challenger_is_promoted_with_its_numbers() -> None:
    decision = decide(*paired(120, 33, both=181, neither=266), alpha=0.05)
    assert decision.promote
    assert (decision.wins, decision.losses) == (120, 33)
    assert "301 of 600 against 214" in decision.reason
    assert "120 won, 33 lost" in decision.reason
    assert "\n" not in decision.reason


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 5), (3, 4), (0, 40)])
def test_a_challenger_that_is_not_better_is_held_at_any_alpha(wins: int, losses: int) -> None:
    decision = decide(*paired(wins, losses), alpha=1.0)
    assert not decision.promote
    assert "not better" in decision.reason


def test_a_challenger_that_may_be_lucky_is_held() -> None:
    decision = decide(*paired(5, 2), alpha=0.05)
    assert decision.p_value == pytest.approx(29 / 128)
    assert not decision.promote
    assert decide(*paired(5, 2), alpha=0.23).promote


def test_an_audits_stop_holds_the_best_challenger_and_is_named() -> None:
    decision = decide(*paired(100, 0), alpha=0.05, stops=["distinct_paths", "drift"])
    assert not decision.promote
    assert "distinct_paths, drift" in decision.reason
    assert decision.p_value < 1e-9


def test_prompts_that_both_or_neither_solve_change_nothing() -> None:
    few, many = decide(*paired(9, 2, 0, 0), alpha=0.05), decide(*paired(9, 2, 400, 400), alpha=0.05)
    assert (few.p_value, few.promote) == (many.p_value, many.promote)


def test_a_coin_is_thrown_for_each_problem_not_for_each_prompt_that_tells_it() -> None:
    """The p-value is the share of all exchanges of marks between the two, problem by problem."""
    for leads in ([3, -1, 1], [2, 2, -1, 0], [1, 1, -1], [-2], [0], [4, 1, -3, 2, -1]):
        throws = [sum(np.multiply(signs, leads)) for signs in product((-1, 1), repeat=len(leads))]
        assert exchanged(leads) == pytest.approx(np.mean([one >= sum(leads) for one in throws]))
    champion, challenger = paired(12, 2)
    alone = decide(champion, challenger, 0.05)
    once = [str(place) for place in range(len(champion))]
    assert decide(champion, challenger, 0.05, problems=once) == alone
    assert alone.promote
    twice = ["the same" if place < 9 else str(place) for place in range(len(champion))]
    decision = decide(champion, challenger, 0.05, problems=twice)
    assert decision.p_value > 0.05 > alone.p_value
    assert not decision.promote
    assert "over 16 problems" in decision.reason


def test_numpy_verdicts_are_verdicts() -> None:
    champion, challenger = (np.array(side) for side in paired(9, 2))
    assert decide(champion, challenger, 0.05) == decide(*paired(9, 2), alpha=0.05)  # type: ignore[arg-type]


def test_equal_checkpoints_are_promoted_no_oftener_than_alpha() -> None:
    rng = np.random.default_rng(3)
    verdicts = rng.random((2000, 2, 100)) < 0.4
    promoted = sum(decide(a.tolist(), b.tolist(), 0.05).promote for a, b in verdicts)
    assert 0.01 < promoted / 2000 <= 0.06


@pytest.mark.parametrize(("champion", "challenger"), [([], []), ([True], [True, False]), ([True], [])])
def test_verdicts_on_no_or_other_prompts_are_refused(champion: list[bool], challenger: list[bool]) -> None:
    with pytest.raises(ValueError, match="same prompts"):
        decide(champion, challenger, 0.05)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="counts"):
        mcnemar(-1, 3)
