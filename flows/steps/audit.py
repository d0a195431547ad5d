"""The audit step of a round: every monitor's readings, held against round 0 and the last round."""

from __future__ import annotations

from typing import Any

from flows.round.round import Round
from flows.steps.task import step_task
from tasks.audit.answers import round_answers
from tasks.audit.monitors.registry import MONITORS, AuditedRound
from tasks.audit.reading import Reading, audit_rows


def audit(round_: Round[Any]) -> list[Reading]:
    """Every monitor's readings of this round, held against round 0 and the last round."""
    with round_.step("audit", None, "readings") as advance:
        readings = _readings(round_)
        advance(len(readings))
    return readings


@step_task
def _readings(round_: Round[Any]) -> list[Reading]:
    number, verifier = round_.number, round_.recipe.filters_by
    baselines = [
        round_answers(round_.lake, round_.loop, then, verifier)
        for then in sorted({0, number - 1} - {-1, number})
    ]
    now = round_answers(round_.lake, round_.loop, number, verifier)
    view = AuditedRound(round_.lake, round_.loop, verifier, now, baselines)
    readings = [reading for monitor in MONITORS.values() for reading in monitor(view)]
    round_.log.once(round_.whole.unit("audit"), "audits", lambda: audit_rows(readings, round_.loop, number))
    return readings
