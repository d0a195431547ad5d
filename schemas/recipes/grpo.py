"""The recipe of policy gradients by verifiable reward (Shao et al. 2024, arXiv 2402.03300, and what came
after).
"""

from __future__ import annotations

from typing import Literal

from schemas.recipes.policy_gradients import PolicyGradients


class Grpo(PolicyGradients):
    """Policy gradients on a model's own answers, rewarded by verifiers (GRPO and its kin)."""

    recipe: Literal["grpo"] = "grpo"
