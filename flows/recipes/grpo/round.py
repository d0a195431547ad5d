"""Policy gradients by verifiable reward, one round (GRPO: Shao et al. 2024, arXiv 2402.03300)."""

from __future__ import annotations

from flows.recipes.grpo.rollouts import chosen, credit, drawn
from flows.recipes.grpo.steps import critic_step, policy_step
from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.generate import generate
from flows.steps.promote import weigh
from flows.steps.verify import verify_by_all
from schemas.recipes.grpo import Grpo
from tasks.reward.rollouts import mean_drift
from warehouse.loops import Checkpoint

NOTHING_LEARNED = "no iteration had answers to learn from: all rewards of every prompt were the same"


def improve(round_: Round[Grpo]) -> Outcome:
    """Draw, reward and compare answers, step by them, again and again; measure, and promote what is
    better.
    """
    prompts, recipe = admit(round_), round_.recipe
    start = round_.base if recipe.start_from == "base" else round_.champion
    reference = round_.base if recipe.reference == "base" else start
    policies, critics, stopped = [start], list[Checkpoint](), ""
    for number in range(1, recipe.iterations + 1):
        phase = round_.in_phase(number, "iteration")
        asked = drawn(phase, prompts, number)
        answers = generate(phase, asked, policies[-1:], keep_tokens=True)
        verdicts = verify_by_all(phase, asked, answers)
        rollouts = credit(phase, asked, answers, verdicts, reference, critics[-1] if critics else None)
        kl = mean_drift(rollouts)
        decisions = chosen(phase, asked, answers, verdicts, rollouts, kl)
        if kl is not None and recipe.kl_budget is not None and kl > recipe.kl_budget:
            stopped = f"stopped before iteration {number}: {decisions['reason'][0]}"
            policies = policies[:-1] or [start]  # the last that was seen to be within
            break
        critics += critic_step(phase, decisions, rollouts, start, critics)
        if not recipe.has_critic or number > recipe.critic.warm_up:
            policies += policy_step(phase, decisions, rollouts, policies)
    if policies[-1] == start:
        audit(round_)
        return "held", stopped or NOTHING_LEARNED, None
    verdict, why, challenger = weigh(round_, policies[-1])
    return verdict, "; ".join(filter(None, (why, stopped))), challenger


GRPO = Room(Grpo, improve, base=reading_tutor)
