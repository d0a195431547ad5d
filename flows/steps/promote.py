"""The end of every recipe's round: a challenger against the champion on the same held-out prompts."""

from __future__ import annotations

from typing import Any

from flows.round.round import Round
from flows.round.verdicts import RoundVerdict
from flows.steps.audit import audit
from flows.steps.evaluate import evaluate
from tasks.evaluate.gate import decide
from tasks.evaluate.measure import problems_of
from warehouse.loops import Checkpoint


def weigh(
    round_: Round[Any], challenger: Checkpoint, must_gain: bool = True
) -> tuple[RoundVerdict, str, Checkpoint]:
    """Measure both, ask every monitor, and promote what is better; the verdict, why, and the challenger.

    Without `must_gain` (it has learned another skill) it is promoted unless it is surely worse.
    """
    champion_marks = evaluate(round_, round_.champion, "champion")
    challenger_marks = evaluate(round_, challenger, "challenger")
    stops = [f"{r.monitor} {r.metric}" for r in audit(round_) if r.verdict == "stop"]
    before, after = champion_marks["passed"].to_list(), challenger_marks["passed"].to_list()
    alpha = round_.recipe.gate.alpha
    problems = problems_of(champion_marks)
    gate = decide(before, after, alpha, stops, problems)
    if not (must_gain or stops or decide(after, before, alpha, problems=problems).promote):
        return "promoted", f"it need not gain and is not surely worse ({gate.reason})", challenger
    if gate.promote:
        return "promoted", gate.reason, challenger
    return "stopped" if stops else "held", gate.reason, challenger
