"""Policy gradients by verifiable reward, one round (GRPO: Shao et al. 2024, arXiv 2402.03300)."""

from __future__ import annotations

from pathlib import Path

from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.iterate import iterate
from flows.steps.promote import weigh
from flows.steps.reward import preference_model
from schemas.recipes.grpo import Grpo
from tasks.models.heads import check_scorer


def improve(round_: Round[Grpo]) -> Outcome:
    """Draw, reward and compare answers, step by them, again and again; measure, and promote what is
    better.
    """
    prompts = admit(round_)
    policy, stopped = iterate(round_, prompts, preference_model(round_))
    if policy is None:
        audit(round_)
        return "held", stopped, None
    verdict, why, challenger = weigh(round_, policy)
    return verdict, "; ".join(filter(None, (why, stopped))), challenger


def check(recipe: Grpo, base: Path) -> None:
    """Refuse a preference model that cannot be read, or is none."""
    if recipe.rewards.model is not None:
        check_scorer(Path(recipe.rewards.model))


GRPO = Room(Grpo, improve, check=check, base=reading_tutor)
