"""Keeps what a verifier passes where there is a reference to verify by; the rest is left to other filters."""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide


def verified(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) on candidates with the columns `outcome` and `reference`.

    The reason is the outcome where it is no pass; the value 1 for pass, 0 for fail, none where nothing was
    verified. A candidate whose prompt has no reference is kept.
    """
    outcome, known = pl.col("outcome"), pl.col("reference").is_not_null()
    failed = known & (outcome.fill_null("no score") != "pass")
    reason = pl.when(failed).then(outcome.fill_null("no score"))
    value = pl.when(outcome == "pass").then(1.0).when(outcome == "fail").then(0.0)
    return decide(frame, "verified", reason, value=value)
