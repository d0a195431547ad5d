"""A reward is the weighted sum of parts that are each on record, and is not known where a verdict is not."""

from __future__ import annotations

import json

import polars as pl
import pytest

from schemas.recipes.policy_gradients import Advantages, Rewards
from tasks.reward.parts import rewarded, verdict_values
from tasks.reward.rollouts import credited, mean_drift, rollout_rows, signalled, within_budget

ANSWERS = pl.DataFrame(
    {
        "candidate_id": ["a", "b", "c", "d"],
        "prompt_id": ["p", "p", "p", "q"],
        "checkpoint_id": ["k"] * 4,
        "text": ["so #### 3", "3", "#### 3 #### 3", "so #### 1"],
        "finish_reason": ["stop", "length", "stop", "stop"],
        "token_count": [2, 10, 8, 9],
        "max_tokens": [10] * 4,
    }
)


def scores(values: list[float | None], outcomes: list[str] | None = None, kind: str = "rule") -> pl.DataFrame:
    told = outcomes or ["error" if value is None else "pass" if value else "fail" for value in values]
    columns = {"outcome": told, "value": values, "verifier_kind": [kind] * 4}
    return pl.DataFrame({"candidate_id": ["a", "b", "c", "d"], **columns})


def test_a_verdict_without_a_value_is_worth_nothing_only_where_the_answer_is_to_blame() -> None:
    outcomes = ["timeout", "tampered", "error", "unscorable"]
    values = verdict_values(scores([None] * 4, outcomes))
    assert values["value"].to_list() == [0.0, 0.0, None, None]
    preferred = verdict_values(
        scores([None, None, -1.5, 2.0], ["tampered", "error", "fail", "pass"], "reward")
    )
    assert preferred["value"].to_list() == [None, None, -1.5, 2.0]


def test_every_part_is_on_record_and_weighed_as_the_recipe_says() -> None:
    settings = Rewards(contains={"####": 0.1}, unfinished=0.5, overlong=0.2, overlong_tokens=4)
    given = {"maths": scores([1.0, 0.0, 1.0, None]), "reward": scores([-2.0, 0.5, 4.0, 0.0], kind="reward")}
    rows = rewarded(ANSWERS, given, {"maths": 1.0, "reward": 0.25}, settings)
    parts = [json.loads(text) for text in rows["rewards"]]
    assert parts[0] == {"maths": 1, "reward": -2, "contains ####": 1, "unfinished": 0, "overlong": 0}
    assert parts[1] == {"maths": 0, "reward": 0.5, "contains ####": 0, "unfinished": 1, "overlong": 1}
    assert parts[2] == {"maths": 1, "reward": 4, "contains ####": 0, "unfinished": 0, "overlong": 0.5}
    assert parts[3]["maths"] is None
    expected = [1 - 0.5 + 0.1, 0.125 - 0.5 - 0.2, 1 + 1 - 0.1, None]
    assert rows["reward"].to_list() == pytest.approx(expected)
    assert rows.drop("reward", "rewards").equals(ANSWERS)


VALUES = [[0.5, 0.25], [0.0] * 10, None, [1.0] * 9]


def rollouts(
    settings: Advantages,
    rewards: list[float | None],
    kl: float = 0.0,
    critic: bool = False,
    keep: bool = False,
) -> pl.DataFrame:
    tokens = [[1, 2], [1] * 10, None, [4] * 9]
    drawn = [None if ids is None else [-1.0] * len(ids) for ids in tokens]
    frame = ANSWERS.with_columns(
        pl.Series("reward", rewards, dtype=pl.Float64),
        pl.Series("token_ids", tokens),
        pl.Series("behaviour_logprobs", drawn),
        pl.Series("reference_logprobs", [[-1.5, -1.0], [-1.0] * 10, None, [-2.0] * 9]),
        pl.Series("values", VALUES if critic else [None] * 4, dtype=pl.List(pl.Float64)),
        rewards=pl.lit("{}"),
    )
    rows = rollout_rows(frame, settings, kl, keep).sort("candidate_id")
    return rows.with_columns(pl.Series("behaviour_logprobs", drawn), frame["token_count"], frame["reward"])


def test_an_advantage_stands_at_each_token_of_its_answer_and_a_lost_answer_still_counts() -> None:
    rows = rollouts(Advantages(), [1.0, 0.0, 0.5, 2.0])
    assert rows["advantages"].to_list() == [[0.5] * 2, [-0.5] * 10, None, [0.0] * 9]
    assert rows["grouped_by"].to_list() == ["p", "p", "p", "q"]
    unknown = rollouts(Advantages(), [1.0, 0.0, None, 2.0])
    assert unknown["advantages"].to_list() == [[0.5] * 2, [-0.5] * 10, None, [0.0] * 9]
    others = rollouts(Advantages(estimator="leave-one-out"), [1.0, 0.0, 0.5, 2.0])
    assert others["advantages"].list.first().to_list() == pytest.approx([0.75, -0.75, None, 0.0])
    scaled = rollouts(Advantages(scale=True), [1.0, 0.0, 0.5, 2.0])
    assert scaled["advantages"][0][0] == pytest.approx(0.5 / 0.5001)


def test_whitening_is_over_the_answers_that_are_learned_from() -> None:
    """The lone answer to q gives no signal: it counts only where such answers are kept."""
    for keep, tokens in ((False, 12), (True, 21)):
        rows = rollouts(Advantages(whiten=True), [1.0, 0.0, 0.5, 2.0], keep=keep)
        learned = rows.filter(signalled(rows, keep)["kept"])["advantages"].explode().drop_nulls()
        assert len(learned) == tokens
        assert learned.mean() == pytest.approx(0.0, abs=1e-9)
        assert learned.std() == pytest.approx(1.0, abs=1e-3)


def test_drift_costs_of_the_reward_what_the_recipe_says_but_the_reward_on_record_is_the_proxys() -> None:
    rows = rollouts(Advantages(), [1.0, 1.0, None, 2.0], kl=0.2)
    assert rows["reward"].to_list() == [1.0, 1.0, None, 2.0]
    assert rows["advantages"].list.first().to_list() == pytest.approx([-0.05, 0.05, None, 0.0])
    assert mean_drift(rows) == pytest.approx((0.5 + 0.0 + 9.0) / 3)
    assert mean_drift(rows.with_columns(reference_logprobs=None)) is None


def test_a_critic_credits_each_token_and_learns_what_it_should_have_expected() -> None:
    settings = Advantages(estimator="gae", decay=0.5)
    rows = rollouts(settings, [1.0, None, 0.5, 2.0], kl=0.2, critic=True)
    # Log-ratios to the reference are 0.5 and 0: the first token costs 0.1, the last has the reward.
    assert rows["advantages"][0].to_list() == pytest.approx([(-0.1 + 0.25 - 0.5) + 0.5 * 0.75, 0.75])
    assert rows["returns"][0].to_list() == pytest.approx([0.025 + 0.5, 1.0])
    assert rows["values"][0].to_list() == VALUES[0]
    assert [row is None for row in rows["returns"].to_list()] == [False, True, True, False]
    first = rollouts(settings, [1.0, None, 0.5, 2.0])
    assert first["returns"][0].to_list() == first["advantages"][0].to_list() == [1.0, 1.0]
    assert first["values"].null_count() == 4


def test_every_answer_that_teaches_nothing_is_dropped_with_its_reason() -> None:
    frame = rollouts(Advantages(), [1.0, 1.0, None, 2.0]).with_columns(outcome=pl.lit("error"))
    assert credited(frame)["reason"].to_list() == [None, None, "error", None]
    passed = frame.with_columns(outcome=pl.lit("pass"), rewards=pl.lit('{"maths": 1.0, "reward": null}'))
    assert credited(passed)["reason"].to_list() == [None, None, "no value of reward", None]
    lost = frame.with_columns(reward=pl.lit(1.0))
    assert credited(lost)["reason"].to_list()[2] == "its tokens are not on record"
    same = "all answers to its prompt have the same reward"
    assert signalled(frame)["reason"].to_list() == [same] * 4
    assert signalled(frame, keep=True)["kept"].all()
    unlike = frame.with_columns(reward=pl.Series([1.0, 0.5, None, 2.0]))
    assert signalled(unlike)["reason"].to_list() == [None, None, None, same]
    assert signalled(unlike)["value"].to_list() == [0.5, 0.5, 0.5, 0.0]
    over = within_budget(frame, 2.5, 2.0)
    assert set(over["reason"]) == {"KL 2.500 nats an answer, over the budget of 2"}
    assert within_budget(frame, 2.5, None)["kept"].all()
    assert within_budget(frame, None, 2.0)["kept"].all()
