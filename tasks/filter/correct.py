"""Keeps the candidates whose verdict is pass. A fail is dropped as "fail"; a time-out, an error or a
tampered or unscorable candidate is dropped under its own name, because it was never judged.
"""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide


def correct(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the reason is the outcome, the value 1 for pass and 0 for fail."""
    outcome = pl.col("outcome")
    reason = pl.when(outcome.is_null()).then(pl.lit("no score")).when(outcome != "pass").then(outcome)
    value = pl.when(outcome == "pass").then(1.0).when(outcome == "fail").then(0.0)
    return decide(frame, "correct", reason, value=value)
