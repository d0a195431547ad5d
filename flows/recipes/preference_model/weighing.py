"""Whether a preference model is better than the loop's last one, on the same held-out pairs."""

from __future__ import annotations

import polars as pl

from flows.round.round import Outcome, Round
from flows.steps.audit import audit
from flows.steps.measure_pairs import measure, problems_of
from schemas.recipes.preference_model import PreferenceModel
from tasks.evaluate.gate import decide
from warehouse.loops import Checkpoint, champion_of


def weigh_preferences(round_: Round[PreferenceModel], challenger: Checkpoint, pairs: pl.DataFrame) -> Outcome:
    """Promote a preference model that tells more held-out pairs right than the loop's last one (a paired
    test); the first one has to be better than a coin.
    """
    marks = measure(round_, challenger, pairs, "challenger")
    last = champion_of(round_.lake, round_.loop, "reward", before=round_.number)
    before = None if last is None else measure(round_, last, pairs, "last")
    stops = [f"{r.monitor} {r.metric}" for r in audit(round_) if r.verdict == "stop"]
    after = marks["right"].to_list()
    against = [not one for one in after] if before is None else before["right"].to_list()
    gate = decide(against, after, round_.recipe.gate.alpha, stops, problems_of(pairs))
    reason = f"held-out pairs, {gate.reason}" + (" (against a coin: the first one)" if last is None else "")
    if gate.promote:
        return "promoted", reason, challenger
    return "stopped" if stops else "held", reason, challenger
