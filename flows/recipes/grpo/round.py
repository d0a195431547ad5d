"""Policy gradients by verifiable reward, one round (GRPO: Shao et al. 2024, arXiv 2402.03300)."""

from __future__ import annotations

from pathlib import Path

from flows.recipes.grpo.rollouts import chosen, credit, drawn
from flows.recipes.grpo.steps import critic_step, policy_step
from flows.recipes.grpo.verdicts import preference_model, verdicts
from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.generate import generate
from flows.steps.promote import weigh
from schemas.recipes.grpo import Grpo
from tasks.models.heads import check_scorer
from tasks.reward.rollouts import mean_drift
from warehouse.loops import Checkpoint

NOTHING_LEARNED = "no iteration had an answer to learn from: view last_decisions has the reasons"


def improve(round_: Round[Grpo]) -> Outcome:
    """Draw, reward and compare answers, step by them, again and again; measure, and promote what is
    better.
    """
    prompts, recipe = admit(round_), round_.recipe
    start = round_.base if recipe.start_from == "base" else round_.champion
    reference = round_.base if recipe.reference == "base" else start
    model = preference_model(round_)
    policies, critics, stopped = [start], list[Checkpoint](), ""
    for number in range(1, recipe.iterations + 1):
        phase = round_.in_phase(number, "iteration")
        asked = drawn(phase, prompts, number)
        answers = generate(phase, asked, policies[-1:], keep_tokens=True)
        given = verdicts(phase, asked, answers, model)
        rollouts = credit(phase, asked, answers, given, reference, critics[-1] if critics else None)
        kl = mean_drift(rollouts)
        decisions = chosen(phase, asked, answers, given, rollouts, kl)
        if kl is not None and recipe.kl_budget is not None and kl > recipe.kl_budget:
            stopped = f"stopped before iteration {number}: {decisions['reason'][0]}"
            policies = policies[:-1] or [start]  # the last that was seen to be within
            break
        waits = recipe.has_critic and len(critics) < recipe.critic.warm_up
        critics += critic_step(phase, decisions, rollouts, start, critics)
        if not waits:
            policies += policy_step(phase, decisions, rollouts, policies)
    if policies[-1] == start:
        audit(round_)
        return "held", stopped or NOTHING_LEARNED, None
    verdict, why, challenger = weigh(round_, policies[-1])
    return verdict, "; ".join(filter(None, (why, stopped))), challenger


def check(recipe: Grpo, base: Path) -> None:
    """Refuse a preference model that cannot be read, or is none."""
    if recipe.rewards.model is not None:
        check_scorer(Path(recipe.rewards.model))


GRPO = Room(Grpo, improve, check=check, base=reading_tutor)
