"""Rejection-sampling fine-tuning, one round (Yuan et al. 2023, arXiv 2308.01825)."""

from __future__ import annotations

from flows.recipes.rft.pool import filter_pool, writers
from flows.recipes.room import Room, reading_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.freeze import freeze_examples
from flows.steps.generate import generate
from flows.steps.judge import judge_sample
from flows.steps.promote import weigh
from flows.steps.train import train
from flows.steps.verify import verify_candidates
from schemas.recipes.rft import Rft

NOTHING_KEPT = "no answer passed every filter: nothing to train on"


def improve(round_: Round[Rft]) -> Outcome:
    """Sample, verify, filter, fine-tune, measure, and promote what is better."""
    prompts = admit(round_)
    candidates = generate(round_, prompts, writers(round_))
    scores = verify_candidates(round_, prompts, candidates)
    judge_sample(round_, prompts, candidates)
    decisions = filter_pool(round_, prompts, candidates, scores)
    snapshot = freeze_examples(round_, decisions)
    if snapshot is None:
        audit(round_)
        return "held", NOTHING_KEPT, None
    return weigh(round_, train(round_, snapshot))


RFT = Room(Rft, improve, base=reading_tutor)
