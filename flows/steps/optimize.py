"""The optimizer steps of an iteration: the policy's, and where there is one the critic's."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from flows.round.round import Round
from flows.steps.iteration import optimizer_steps
from schemas.job import Value
from schemas.recipes.policy_gradients import PolicyGradients
from warehouse.loops import Checkpoint


def policy_step(
    phase: Round[PolicyGradients],
    decisions: pl.DataFrame,
    rollouts: pl.DataFrame,
    policies: Sequence[Checkpoint],
) -> list[Checkpoint]:
    """The policy after its steps on the answers kept, which go on with the optimizer of the last one that
    took any (`policies`: all so far, the first is where the round starts); none where no answer was kept.
    """
    earlier = policies[-1] if len(policies) > 1 else None
    recipe, units = phase.recipe, rollouts["unit"].unique()
    settings = (recipe.training, recipe.carry_optimizer)
    return optimizer_steps(phase, decisions, units, "policy", policies[-1], earlier, *settings)


def critic_step(
    phase: Round[PolicyGradients],
    decisions: pl.DataFrame,
    rollouts: pl.DataFrame,
    start: Checkpoint,
    critics: Sequence[Checkpoint],
) -> list[Checkpoint]:
    """The critic after its steps on the returns, from the last of `critics`, or from `start` with a head
    drawn by the seed; none where there is no critic or no answer was kept.
    """
    if not phase.recipe.has_critic:
        return []
    hyper, earlier = phase.recipe.critic.training, critics[-1] if critics else None
    if earlier is None:  # there are no values yet to stay near to
        hyper = hyper.model_copy(update={"value": Value(clip=None)})
    units, carries = rollouts["unit"].unique(), phase.recipe.carry_optimizer
    return optimizer_steps(phase, decisions, units, "value", earlier or start, earlier, hyper, carries)
