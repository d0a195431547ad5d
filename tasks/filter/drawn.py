"""Keeps so many candidates by lot, whoever wrote them: the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.ids import Part, digest
from tasks.filter.decision import decide


def drawn(frame: pl.DataFrame, count: int, name: str, seed: Sequence[Part]) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) of a filter called `name`; the rank is the place in the draw."""
    lots = pl.Series([digest((*seed, one)) for one in frame["candidate_id"]], dtype=pl.String)
    ranked = frame.with_columns(rank=lots.rank("ordinal").cast(pl.Int64) - 1)
    return decide(
        ranked, name, pl.when(pl.col("rank") >= count).then(pl.lit("not drawn")), rank=pl.col("rank")
    )
