"""Drops answers that do not fit the model with their prompt: a training refuses examples it would cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from tasks.filter.decision import decide

Lengths = Callable[[Sequence[str], Sequence[str]], list[int]]


def fits(frame: pl.DataFrame, lengths: Lengths, limit: int) -> pl.DataFrame:
    """The decision on each candidate (columns prompt, text): its value is the example's length in tokens."""
    counted = lengths(frame["prompt"].to_list(), frame["text"].to_list())
    marked = frame.with_columns(pl.Series("length", counted, dtype=pl.Float64))
    reason = pl.when(pl.col("length") > limit).then(pl.lit(f"longer than {limit} tokens"))
    return decide(marked, "fits", reason, value=pl.col("length"))
