"""Rejection-sampling fine-tuning, one round (Yuan et al. 2023, arXiv 2308.01825)."""

from __future__ import annotations

import time

from flows.evaluation import evaluate
from flows.round import Closed, Round, begin, close, judge
from flows.steps import admit, audit, filter_pool, freeze_examples, generate, train, verify
from schemas.errors import TrainingFailed
from tasks.evaluate.gate import decide

NOTHING_KEPT = "no answer passed every filter: nothing to train on"


def rft_round(round_: Round, night_ends: int) -> Closed:
    """Sample, verify, filter, fine-tune, measure, and promote what is better."""
    start = time.monotonic()
    begin(round_, night_ends)

    prompts = admit(round_)
    candidates = generate(round_, prompts)
    scores = verify(round_, prompts, candidates)
    decisions = filter_pool(round_, prompts, candidates, scores)
    snapshot = freeze_examples(round_, decisions)
    if snapshot is None:
        audit(round_)
        return close(round_, "held", NOTHING_KEPT, None, time.monotonic() - start)
    try:
        challenger = train(round_, snapshot)
    except TrainingFailed as error:  # the record is kept, the champion is untouched, the night ends
        return close(round_, "stopped", f"training failed: {error}", None, time.monotonic() - start)

    champion_marks = evaluate(round_, round_.champion, "champion")
    challenger_marks = evaluate(round_, challenger, "challenger")
    stops = [f"{r.monitor} {r.metric}" for r in audit(round_) if r.verdict == "stop"]

    gate = decide(
        champion_marks["passed"].to_list(),
        challenger_marks["passed"].to_list(),
        round_.recipe.gate.alpha,
        stops,
    )
    return close(round_, judge(gate, stops), gate.reason, challenger, time.monotonic() - start)
