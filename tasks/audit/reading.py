"""A reading: one monitor's number of one round, what it is compared with, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from schemas.identity import audit_id
from schemas.tables import AUDITS

MonitorVerdict = Literal["pass", "warn", "stop", "none"]


@dataclass(frozen=True)
class Reading:
    """One number of one monitor. `subject` is the part of the round that it measures; None: all of it.

    A reading that could not be made has the verdict none, and says why: it is no pass.
    """

    monitor: str
    metric: str
    value: float | None
    subject: str | None = None
    baseline: float | None = None
    against: str | None = None
    threshold: float | None = None
    verdict: MonitorVerdict = "pass"
    reason: str | None = None


@dataclass(frozen=True)
class Answers:
    """What monitors look at: one round's sampled answers to training prompts.

    `frame` has one row per answer: prompt_id, topic, difficulty, text, token_count, outcome, answer,
    path (list of equations), holds (every equation does), accepted (kept by the last filter).
    """

    round: int
    frame: pl.DataFrame


def below(
    monitor: str,
    metric: str,
    value: float,
    baseline: Answers,
    baseline_value: float,
    *,
    warn: float,
    stop: float,
) -> Reading:
    """A reading that should not fall: it warns below `warn` times the baseline, stops below `stop`."""
    verdict: MonitorVerdict = "pass"
    if value < warn * baseline_value:
        verdict = "stop" if value < stop * baseline_value else "warn"
    against = f"round {baseline.round}"
    return Reading(
        monitor,
        metric,
        value,
        baseline=baseline_value,
        against=against,
        threshold=warn * baseline_value,
        verdict=verdict,
    )


def audit_rows(readings: Sequence[Reading], loop: str, round_number: int) -> pl.DataFrame:
    """Rows of table `audits`."""
    rows = [
        {
            "audit_id": audit_id(round_number, loop, r.monitor, r.metric, r.subject, r.against),
            "monitor": r.monitor,
            "metric": r.metric,
            "subject": r.subject,
            "value": r.value,
            "baseline": r.baseline,
            "against": r.against,
            "threshold": r.threshold,
            "verdict": r.verdict,
            "reason": r.reason,
        }
        for r in readings
    ]
    return pl.DataFrame(rows, schema=AUDITS.own_polars)
