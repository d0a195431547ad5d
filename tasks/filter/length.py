"""Drops answers that do not fit the model with their prompt: a training refuses examples it would cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from tasks.filter.decision import decide
from tasks.models.conversation import Prompt, prompts_of

Lengths = Callable[[Sequence[Prompt], Sequence[str]], list[int]]


def fits(frame: pl.DataFrame, lengths: Lengths, limit: int) -> pl.DataFrame:
    """The decision on each candidate (columns prompt, text and maybe messages).

    Its value is the example's length in tokens.
    """
    counted = lengths(prompts_of(frame, "prompt"), frame["text"].to_list())
    marked = frame.with_columns(pl.Series("length", counted, dtype=pl.Float64))
    reason = pl.when(pl.col("length") > limit).then(pl.lit(f"longer than {limit} tokens"))
    return decide(marked, "fits", reason, value=pl.col("length"))
