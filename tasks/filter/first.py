"""Keeps the first so many of what it is shown: more were written than are wanted."""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide


def first(frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA), in the frame's order; the rank is the place in the frame."""
    ranked = frame.with_columns(rank=pl.int_range(pl.len(), dtype=pl.Int64))
    reason = pl.when(pl.col("rank") >= count).then(pl.lit("enough were kept"))
    return decide(ranked, "first", reason, rank=pl.col("rank"))
