"""Keeps the candidates in which every equation holds, also on the way to a right answer (rejection-sampling
fine-tuning, Yuan et al. 2023, arXiv 2308.01825). A text without equations is kept.
"""

from __future__ import annotations

import polars as pl

from tasks.filter.decision import decide, reasoning_paths

_LONGEST_EQUATION = 80  # characters quoted in a reason


def equations_hold(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the value is the share of equations that hold (0 to 1)."""
    holds = pl.col("steps").list.eval((pl.element() == 1.0).fill_null(False).cast(pl.Int8))
    marked = frame.with_columns(holds=holds, path=reasoning_paths(frame)).with_columns(
        value=pl.col("holds").list.mean(), wrong=pl.col("holds").list.arg_min()
    )
    equation = pl.col("path").list.get(pl.col("wrong"), null_on_oob=True).str.slice(0, _LONGEST_EQUATION)
    reason = pl.format(
        "equation {} does not hold: {}", pl.col("wrong") + 1, equation.fill_null("(not in the text)")
    )
    return decide(marked, "equations_hold", pl.when(pl.col("value") < 1).then(reason), value=pl.col("value"))
