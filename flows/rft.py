"""Rejection-sampling fine-tuning, one round (Yuan et al. 2023, arXiv 2308.01825)."""

from __future__ import annotations

import time

from flows.evaluation import evaluate
from flows.judging import judge_answers
from flows.monitoring import audit
from flows.rejection import filter_pool, writers
from flows.round import Closed, Round, Verdict, begin, close, judge
from flows.steps import admit, freeze_examples, generate
from flows.training import train
from flows.verification import verify
from schemas.errors import BadInput, TrainingFailed
from schemas.recipe import Rft
from tasks.evaluate.gate import decide
from warehouse.loops import Checkpoint

NOTHING_KEPT = "no answer passed every filter: nothing to train on"


def rft_round(round_: Round[Rft], night_begins: int, night_ends: int) -> Closed:
    """One round, from its start to its verdict. What cannot work stops it, in the log: it is not open for
    ever; the champion is untouched, and the night ends.
    """
    start = time.monotonic()
    begin(round_, night_begins, night_ends)
    try:
        verdict, reason, challenger = improve(round_)
    except (BadInput, TrainingFailed) as error:
        verdict, reason, challenger = "stopped", f"{type(error).__name__}: {error}", None
    return close(round_, verdict, reason, challenger, time.monotonic() - start)


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
    challenger = train(round_, snapshot)

    champion_marks = evaluate(round_, round_.champion, "champion")
    challenger_marks = evaluate(round_, challenger, "challenger")
    stops = [f"{r.monitor} {r.metric}" for r in audit(round_) if r.verdict == "stop"]

    gate = decide(
        champion_marks["passed"].to_list(),
        challenger_marks["passed"].to_list(),
        round_.recipe.gate.alpha,
        stops,
    )
    return judge(gate, stops), gate.reason, challenger
