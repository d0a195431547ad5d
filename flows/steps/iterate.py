"""Policy gradients in iterations: draw answers, reward them, step by them, again and again.

Each iteration is a phase of its own. What looks on beside the rewards (an auditor, a judge of harm) decides
nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.credit import chosen, credit
from flows.steps.generate import generate
from flows.steps.iteration import drawn
from flows.steps.optimize import critic_step, policy_step
from flows.steps.reward import verdicts
from schemas.recipes.policy_gradients import PolicyGradients
from tasks.reward.rollouts import mean_drift
from warehouse.loops import Checkpoint

NOTHING_LEARNED = "no iteration had an answer to learn from: view last_decisions has the reasons"

Watch = Callable[[Round[Any], pl.DataFrame, list[pl.DataFrame]], None]
"""Who puts verdicts on record beside the rewards: of an iteration's round, its prompts, its answers."""


def nobody(round_: Round[Any], prompts: pl.DataFrame, texts: list[pl.DataFrame]) -> None:
    """Watches nothing."""


def iterate(
    round_: Round[PolicyGradients],
    prompts: pl.DataFrame,
    model: Checkpoint | None,
    watch: Watch = nobody,
) -> tuple[Checkpoint | None, str]:
    """The policy after the round's iterations on these prompts, and why they ended early where they did.

    `model` is the preference model that rewards, where one counts. None where no iteration could be learned
    from, or the first policy alone was seen to be within the budget of drift.
    """
    recipe, start = round_.recipe, round_.start
    reference = round_.base if recipe.reference == "base" else start
    policies, critics = [start], list[Checkpoint]()
    for number in range(1, recipe.iterations + 1):
        phase = round_.in_phase(number, "iteration")
        asked = drawn(phase, prompts, number, recipe.prompts_per_iteration)
        answers = generate(phase, asked, policies[-1:], keep_tokens=True)
        given = verdicts(phase, asked, answers, model)
        watch(phase, asked, [answers])
        rollouts = credit(phase, asked, answers, given, reference, critics[-1] if critics else None)
        kl = mean_drift(rollouts)
        decisions = chosen(phase, asked, answers, given, rollouts, kl)
        if kl is not None and recipe.kl_budget is not None and kl > recipe.kl_budget:
            within = policies[:-1] or [start]  # the last that was seen to be within
            stopped = f"stopped before iteration {number}: {decisions['reason'][0]}"
            return _learned(within, start), stopped
        waits = recipe.has_critic and len(critics) < recipe.critic.warm_up
        critics += critic_step(phase, decisions, rollouts, start, critics)
        if not waits:
            policies += policy_step(phase, decisions, rollouts, policies)
    return _learned(policies, start), "" if policies[-1] != start else NOTHING_LEARNED


def _learned(policies: list[Checkpoint], start: Checkpoint) -> Checkpoint | None:
    return None if policies[-1] == start else policies[-1]
