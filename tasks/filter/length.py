"""Drops answers that do not fit the model: a training refuses examples it would cut, and would teach a token
that ends a turn in the middle of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from tasks.filter.decision import decide
from tasks.models.conversation import Prompt, prompts_of

Lengths = Callable[[Sequence[Prompt], Sequence[str]], list[int]]
Ends = Callable[[Sequence[str]], list[bool]]


def fits(frame: pl.DataFrame, lengths: Lengths, limit: int, ends: Ends | None = None) -> pl.DataFrame:
    """The decision on each candidate (columns prompt, text and maybe messages).

    Its value is the example's length in tokens. `ends` says which texts hold an end token before their end.
    """
    texts = frame["text"].to_list()
    counted = lengths(prompts_of(frame, "prompt"), texts)
    inside = ends(texts) if ends else [False] * frame.height
    marked = frame.with_columns(
        pl.Series("length", counted, dtype=pl.Float64), pl.Series("inside", inside, dtype=pl.Boolean)
    )
    reason = (
        pl.when(pl.col("length") > limit)
        .then(pl.lit(f"longer than {limit} tokens"))
        .when("inside")
        .then(pl.lit("an end of turn within it"))
    )
    return decide(marked, "fits", reason, value=pl.col("length"))
