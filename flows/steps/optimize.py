"""The optimizer steps of an iteration: the policy's, and where there is one the critic's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from flows.round.round import Round
from flows.steps.freeze import freeze_examples
from flows.steps.train import train
from schemas.job import Hyperparameters, Value
from schemas.recipes.policy_gradients import PolicyGradients
from tasks.filter.chain import survivors
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
    return _step(phase, decisions, rollouts, "policy", policies[-1], earlier, phase.recipe.training)


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
    return _step(phase, decisions, rollouts, "value", earlier or start, earlier, hyper)


def _step(
    phase: Round[PolicyGradients],
    decisions: pl.DataFrame,
    rollouts: pl.DataFrame,
    objective: str,
    start: Checkpoint,
    earlier: Checkpoint | None,
    hyper: Hyperparameters,
) -> list[Checkpoint]:
    kept = survivors(decisions).height
    if not kept:
        return []
    snapshot = freeze_examples(phase, decisions, objective, rollouts["unit"].unique())
    assert snapshot is not None
    carries = phase.recipe.carry_optimizer
    size = even_batch(kept, hyper.batch_size)
    hyper = hyper.model_copy(update={"keep_optimizer": carries, "batch_size": size})
    return [train(phase, snapshot, objective, start, hyper, earlier if carries else None)]


def even_batch(examples: int, most: int) -> int:
    """Examples in an optimizer step, `most` or fewer, so that the steps of a pass are as many and about
    equal: a remainder of few would step as far as a whole batch.
    """
    return math.ceil(examples / math.ceil(examples / most))
