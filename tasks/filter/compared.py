"""Keeps the answers of pairs of which one is preferred: what a preference model learns from."""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide

TIE = "neither is preferred"


def compared(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) that keep what stands in a pair with a preference.

    Needs the columns `partners` (list of the candidates that it is in such pairs with), `probability` (its
    pair's, null without a verdict; the decision's value) and `why` (why there is no verdict).
    """
    reason = (
        pl.when(pl.col("partners").list.len() > 0)
        .then(pl.lit(None, pl.String))
        .when(pl.col("probability").is_null())
        .then(pl.col("why").fill_null("no verdict"))
        .otherwise(pl.col("why").fill_null(TIE))
    )
    return decide(frame, "compared", reason, value=pl.col("probability"))


def paired(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions that keep answers of which another side of a pair (column `partners`) is there too."""
    there = set(frame["candidate_id"])
    whole = [not there.isdisjoint(partners) for partners in frame["partners"].to_list()]
    inside = pl.Series("inside", whole, dtype=pl.Boolean)
    reason = pl.when(~pl.col("inside")).then(pl.lit("its other side was dropped"))
    return decide(frame.with_columns(inside), "paired", reason)
