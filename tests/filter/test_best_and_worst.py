"""Promises of the pairs: best against worst of a prompt, no ties, and a reason for every other answer."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.best_and_worst import best_and_worst, pairs, rewarded
from tasks.filter.chain import run_chain
from tasks.filter.drawn import drawn

Answer = tuple[str, float | None, int]  # prompt, points, tokens


def frame(answers: list[Answer]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "candidate_id": [f"c{place}" for place in range(len(answers))],
            "prompt_id": [prompt for prompt, _, _ in answers],
            "points": [points for _, points, _ in answers],
            "outcome": ["error" if points is None else "pass" for _, points, _ in answers],
            "token_count": [tokens for _, _, tokens in answers],
        },
        schema_overrides={"points": pl.Float64, "outcome": pl.String, "prompt_id": pl.String},
    )


def reasons(decisions: pl.DataFrame) -> list[str | None]:
    return decisions.sort("candidate_id")["reason"].to_list()


def test_the_best_and_the_worst_of_a_prompt_are_its_pair() -> None:
    decisions = best_and_worst(frame([("p", 5, 9), ("p", 1, 9), ("p", 3, 9), ("p", 2, 9)]), 0.5)
    assert reasons(decisions) == [None, None, "neither best nor worst", "neither best nor worst"]
    (pair,) = pairs(decisions).to_dicts()
    assert pair == {
        "prompt_id": "p",
        "chosen_id": "c0",
        "rejected_id": "c1",
        "chosen_value": 5.0,
        "rejected_value": 1.0,
    }


@pytest.mark.parametrize(
    ("points", "reason"), [([2, 2, 2], "tie"), ([2, 2.3, 2], "near tie"), ([4], "alone")]
)
def test_a_prompt_without_a_clear_gap_gives_no_pair(points: list[float], reason: str) -> None:
    decisions = best_and_worst(frame([("p", one, 9) for one in points]), 0.5)
    assert set(reasons(decisions)) == {reason}
    assert pairs(decisions).is_empty()


@pytest.mark.parametrize("thirds", [(7, 4), (8, 5), (11, 8), (14, 11)])
def test_a_gap_of_just_so_many_points_makes_a_pair(thirds: tuple[int, int]) -> None:
    answers = frame([("p", votes / 3, 9) for votes in thirds])
    assert pairs(best_and_worst(answers, 1.0)).height == 1


def test_a_judge_without_a_verdict_is_no_reward_of_zero() -> None:
    answers = frame([("p", 5, 9), ("p", None, 9), ("p", 3, 9)])
    decisions, survivors = run_chain(answers, [rewarded, lambda rows: best_and_worst(rows, 0.5)])
    assert reasons(decisions.filter(filter="rewarded")) == [None, "error", None]
    assert survivors["candidate_id"].to_list() == ["c0", "c2"]


def test_a_length_penalty_turns_a_pair_against_the_longer_answer() -> None:
    answers = frame([("p", 3.0, 10), ("p", 3.6, 30)])
    assert pairs(best_and_worst(answers, 0.5))["chosen_id"].to_list() == ["c1"]
    assert pairs(best_and_worst(answers, 0.5, 2.0))["chosen_id"].to_list() == ["c0"]


@given(
    st.lists(
        st.tuples(st.sampled_from("pqr"), st.sampled_from([0, 1, 2.5, 3, 5]), st.integers(1, 40)),
        max_size=24,
    ),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.integers(0, 3),
)
def test_every_pair_is_the_extremes_of_its_prompt_and_far_enough_apart(
    answers: list[Answer], gap: float, seed: int
) -> None:
    candidates = frame(answers)
    decisions = best_and_worst(candidates, gap, seed=seed)
    assert decisions["candidate_id"].to_list() == candidates["candidate_id"].to_list()
    for pair in pairs(decisions).to_dicts():
        own = candidates.filter(prompt_id=pair["prompt_id"])["points"]
        assert (pair["chosen_value"], pair["rejected_value"]) == (own.max(), own.min())
        assert pair["chosen_value"] > pair["rejected_value"]
        assert pair["chosen_value"] - pair["rejected_value"] >= gap
    spread = candidates.group_by("prompt_id").agg(gap=pl.col("points").max() - pl.col("points").min())
    assert pairs(decisions).height == spread.filter((pl.col("gap") > 0) & (pl.col("gap") >= gap)).height


def test_a_draw_keeps_so_many_and_another_seed_draws_others() -> None:
    answers = frame([("p", 1, 9)] * 40)
    first, again, other = (drawn(answers, 10, "keep_judging", (0, n)) for n in (1, 1, 2))
    assert first.equals(again)
    assert first["kept"].sum() == 10 == other["kept"].sum()
    assert first.filter("kept")["candidate_id"].to_list() != other.filter("kept")["candidate_id"].to_list()
    assert set(first["reason"]) == {None, "not drawn"}
