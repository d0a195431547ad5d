"""Advantages by hand, and what every estimator promises."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.reward.advantages import (
    gae,
    group_advantages,
    leave_one_out,
    role_advantages,
    spreads,
    token_rewards,
    whitened,
)

REWARDS = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 1.0, 3.0]
GROUPS = ["a", "b", "a", "a", "c", "c", "b", "d"]


def test_a_group_is_centred_and_scaled_by_its_own_members_whatever_their_order() -> None:
    plain = group_advantages(REWARDS, GROUPS)
    assert plain == pytest.approx([1 / 3, -0.5, -2 / 3, 1 / 3, 0, 0, 0.5, 0])
    scaled = group_advantages(REWARDS, GROUPS, scale=True)
    a, b = np.std([1, 0, 1], ddof=1) + 1e-4, np.std([0, 1], ddof=1) + 1e-4
    assert scaled == pytest.approx([1 / 3 / a, -0.5 / b, -2 / 3 / a, 1 / 3 / a, 0, 0, 0.5 / b, 0])
    order = [3, 7, 1, 0, 2, 6, 5, 4]
    again = group_advantages([REWARDS[i] for i in order], [GROUPS[i] for i in order])
    assert again == pytest.approx(plain[order])


def test_leave_one_out_is_the_mean_of_the_others_and_a_reward_without_others_has_none() -> None:
    expected = [1 - 0.5, 0 - 1, 0 - 1, 1 - 0.5, 0, 0, 1 - 0, 0]
    assert leave_one_out(REWARDS, GROUPS) == pytest.approx(expected)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, 1e6 / 3])
def test_a_reward_that_is_the_same_for_all_gives_no_advantage_to_the_last_bit(reward: float) -> None:
    rewards, groups = [reward] * 7, ["one"] * 7
    for scale in (False, True):
        assert not group_advantages(rewards, groups, scale).any()
    assert not leave_one_out(rewards, groups).any()
    assert spreads(rewards, groups) == {"one": 0.0}


def test_a_role_is_held_against_its_own_running_mean() -> None:
    advantages, means = role_advantages([1.0, -1.0, 1.0, 1.0], ["x", "o", "x", "o"], {"x": 0.5}, decay=0.9)
    assert advantages == pytest.approx([0.45, 0.0, 0.405, 1.8])
    assert means == pytest.approx({"x": 0.595, "o": -0.8})
    halves = role_advantages([1.0, -1.0], ["x", "o"], {"x": 0.5}, decay=0.9)
    rest, after = role_advantages([1.0, 1.0], ["x", "o"], halves[1], decay=0.9)
    assert np.concatenate([halves[0], rest]) == pytest.approx(advantages)
    assert after == pytest.approx(means)


def test_gae_by_hand() -> None:
    rewards, values, discount, decay = [0.1, -0.2, 1.0], [0.5, 0.4, 0.9], 0.9, 0.8
    d2 = 1.0 - 0.9
    d1 = -0.2 + 0.9 * 0.9 - 0.4
    d0 = 0.1 + 0.9 * 0.4 - 0.5
    a2, a1 = d2, d1 + 0.72 * d2
    a0 = d0 + 0.72 * a1
    advantages, returns = gae(rewards, values, discount, decay)
    assert advantages == pytest.approx([a0, a1, a2])
    assert returns == pytest.approx([a0 + 0.5, a1 + 0.4, a2 + 0.9])


def test_gae_at_its_ends_is_the_error_of_one_step_and_the_whole_of_what_came() -> None:
    generator = np.random.default_rng(0)
    rewards, values = generator.normal(size=9), generator.normal(size=9)
    one, _ = gae(rewards, values, 0.97, 0.0)
    assert one == pytest.approx(rewards + 0.97 * np.append(values[1:], 0.0) - values)
    whole, returns = gae(rewards, values, 0.97, 1.0)
    came = [sum(0.97**k * r for k, r in enumerate(rewards[t:])) for t in range(9)]
    assert returns == pytest.approx(came)
    assert whole == pytest.approx(np.array(came) - values)


def test_a_critic_that_knows_leaves_nothing_over() -> None:
    rewards = [0.0, 0.0, 0.0, 2.0]
    advantages, returns = gae(rewards, [2.0] * 4)
    assert advantages == pytest.approx([0] * 4)
    assert returns == pytest.approx([2] * 4)
    with pytest.raises(ValueError, match="need as many values"):
        gae(rewards, [2.0] * 5)


def test_the_responses_reward_comes_with_its_last_token_and_drift_costs_where_it_happens() -> None:
    assert token_rewards(1.0, [0.5, -0.25, 0.1], 0.2) == pytest.approx([-0.1, 0.05, 0.98])


def test_whitening_is_over_tokens_so_that_a_long_response_counts_by_its_length() -> None:
    white = whitened([[1.0, 1.0, 1.0], [-2.0]])
    every = np.concatenate(white)
    assert every.mean() == pytest.approx(0, abs=1e-12)
    assert every.std(ddof=1) == pytest.approx(1, rel=1e-3)
    assert [len(row) for row in white] == [3, 1]
    assert not np.concatenate(whitened([[0.3, 0.3], [0.3]])).any()
    assert whitened([]) == []
