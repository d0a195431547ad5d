"""Drops texts whose tokens are not on record: what is learned are the tokens that were drawn, never a text
encoded again, which other tokens may write too.
"""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide


def on_record(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) on candidates with a column `token_ids`; the value counts them."""
    tokens = pl.col("token_ids").list.len()
    reason = pl.when(tokens.fill_null(0) == 0).then(pl.lit("its tokens are not on record"))
    return decide(frame, "on_record", reason, value=tokens)
