"""Advantages: how much better a response, or each token of it, did than was to be expected.

Pure functions of rewards; none of them knows a model. Sequences are lists of their own length, never padded,
so that nothing leaks from padding into a mean or past an end.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Row = Sequence[float] | Floats

LEAST_SPREAD = 1e-4
"""Added to a standard deviation that is divided by, as TRL does."""


def group_advantages(rewards: Row, groups: Sequence[Hashable], scale: bool = False) -> Floats:
    """Each reward less its group's mean; with `scale` divided by its group's standard deviation.

    With it as GRPO has it (Shao et al. 2024, arXiv 2402.03300), which makes much of groups that hardly
    differ; without as Dr. GRPO (Liu et al. 2025, 2503.20783). `groups` names the group of each reward. A
    group whose rewards are all the same has zeros, one of a single reward too.
    """
    values, members = _grouped(rewards, groups)
    advantages = np.zeros_like(values)
    for rows in members:
        centred = values[rows] - values[rows].mean()
        if np.ptp(values[rows]) == 0.0:  # a mean that was rounded is no difference
            continue
        advantages[rows] = centred / (values[rows].std(ddof=1) + LEAST_SPREAD) if scale else centred
    return advantages


def leave_one_out(rewards: Row, groups: Sequence[Hashable]) -> Floats:
    """Each reward less the mean of the others in its group (RLOO, Ahmadian et al. 2024, arXiv 2402.14740).

    That is n / (n - 1) times what the mean of all leaves: a baseline that does not depend on the response. A
    reward without others has 0.
    """
    values, members = _grouped(rewards, groups)
    advantages = group_advantages(values, groups)
    for rows in members:
        advantages[rows] *= len(rows) / max(len(rows) - 1, 1)
    return advantages


def role_advantages(
    rewards: Row, roles: Sequence[str], baselines: Mapping[str, float], decay: float = 0.95
) -> tuple[Floats, dict[str, float]]:
    """Each reward less the running mean of its role, and the means after.

    SPIRAL's (Liu et al. 2025, arXiv 2506.24119), for games in which the roles (first and second player) have
    unlike chances. In order, each reward first moves its role's mean by a share 1 - `decay`; a role that
    `baselines` lacks begins with its first reward.
    """
    means, advantages = dict(baselines), np.zeros(len(rewards))
    for place, (reward, role) in enumerate(zip(rewards, roles, strict=True)):
        means[role] = decay * means.get(role, float(reward)) + (1.0 - decay) * float(reward)
        advantages[place] = reward - means[role]
    return advantages, means


def token_rewards(reward: float, kl: Row, kl_weight: float) -> Floats:
    """A response's rewards a token: what each token's log-ratio to the reference costs, and at the last one
    the response's own reward (Ziegler et al. 2019, arXiv 1909.08593).
    """
    rewards = -kl_weight * np.asarray(kl, dtype=np.float64)
    rewards[-1] += reward
    return rewards


def gae(rewards: Row, values: Row, discount: float = 1.0, decay: float = 0.95) -> tuple[Floats, Floats]:
    """Generalised advantage estimation of one response (Schulman et al. 2016, arXiv 1506.02438).

    `rewards` and `values` have a number a token: what the token earned, and what the critic expected before
    it. After the last token comes nothing, worth 0. Returns advantages and returns, the critic's targets:
    advantages plus values.
    """
    earned, expected = np.asarray(rewards, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if earned.shape != expected.shape:
        raise ValueError(f"{len(earned)} rewards need as many values, not {len(expected)}")
    errors = earned + discount * np.append(expected[1:], 0.0) - expected
    advantages = np.zeros_like(errors)
    after = 0.0
    for token in reversed(range(len(errors))):
        after = errors[token] + discount * decay * after
        advantages[token] = after
    return advantages, advantages + expected


def whitened(advantages: Sequence[Row]) -> list[Floats]:
    """Advantages of several responses with mean 0 and variance 1 over all their tokens.

    Where all are the same they are zeros: there is nothing to scale.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in advantages]
    every = np.concatenate(rows) if rows else np.zeros(0)
    if every.size < 2 or np.ptp(every) == 0.0:
        return [np.zeros_like(row) for row in rows]
    return [(row - every.mean()) / (every.std(ddof=1) + LEAST_SPREAD) for row in rows]


def spreads(rewards: Row, groups: Sequence[Hashable]) -> dict[Hashable, float]:
    """Each group's largest reward less its smallest: 0 where it gives no signal."""
    values, members = _grouped(rewards, groups)
    return {groups[rows[0]]: float(np.ptp(values[rows])) for rows in members}


def _grouped(rewards: Row, groups: Sequence[Hashable]) -> tuple[Floats, list[list[int]]]:
    """The rewards, and the places of each group's members."""
    if len(rewards) != len(groups):
        raise ValueError(f"{len(rewards)} rewards need as many groups, not {len(groups)}")
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    return np.asarray(rewards, dtype=np.float64), list(places.values())
