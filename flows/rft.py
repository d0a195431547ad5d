"""Rejection-sampling fine-tuning, one round (Yuan et al. 2023, arXiv 2308.01825)."""

from __future__ import annotations

from flows.judging import judge_answers
from flows.monitoring import audit
from flows.promotion import weigh
from flows.rejection import filter_pool, writers
from flows.round import Round, Verdict
from flows.steps import admit, freeze_examples, generate
from flows.training import train
from flows.verification import verify
from schemas.recipe import Rft
from warehouse.loops import Checkpoint

NOTHING_KEPT = "no answer passed every filter: nothing to train on"


def improve(round_: Round[Rft]) -> tuple[Verdict, str, Checkpoint | None]:
    """Sample, verify, filter, fine-tune, measure, and promote what is better."""
    prompts = admit(round_)
    candidates = generate(round_, prompts, writers(round_))
    scores = verify(round_, prompts, candidates)
    judge_answers(round_, prompts, candidates)
    decisions = filter_pool(round_, prompts, candidates, scores)
    snapshot = freeze_examples(round_, decisions)
    if snapshot is None:
        audit(round_)
        return "held", NOTHING_KEPT, None
    return weigh(round_, train(round_, snapshot))
