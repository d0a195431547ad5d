"""Drops answers that were cut off at their token limit: a training adds an end token to every answer, and
would teach the model to stop in the middle, or after text that ran on. The verifier may have read half a
number there (`#### 1` of 12).

A candidate without a finish reason was not sampled (references, demonstrations), and is kept.
"""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide

NAME = "finished"


def finished(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) on candidates with the columns `finish_reason` and `token_count`.

    The value is the answer's length in tokens.
    """
    reason = pl.when(pl.col("finish_reason") == "length").then(pl.lit("cut off"))
    return decide(frame, NAME, reason, value=pl.col("token_count"))
