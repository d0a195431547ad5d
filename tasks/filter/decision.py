"""What a filter's decision is: kept, or dropped with a reason, one row per candidate it was shown.

A filter is a function from candidates to decisions. Candidates come with the columns `candidate_id`,
`prompt_id`, `text`, `outcome` (of the verifier) and `steps` (one value a step), and optionally `path`
(the verifier's equations, read again from `text` where absent or null).
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from tasks.verify.maths.maths import equations

Filter = Callable[[pl.DataFrame], pl.DataFrame]

SCHEMA = pl.Schema(
    {
        "candidate_id": pl.String,
        "prompt_id": pl.String,
        "filter": pl.String,
        "kept": pl.Boolean,
        "reason": pl.String,  # none where kept
        "value": pl.Float64,  # what it was decided by; none where nothing was measured
        "rank": pl.Int64,  # among the prompt's candidates, from 0
        "duplicate_of": pl.String,  # the candidate kept in its place, or the prompt it is too like
    }
)


def decide(
    frame: pl.DataFrame,
    name: str,
    reason: pl.Expr,
    *,
    value: pl.Expr | None = None,
    rank: pl.Expr | None = None,
    duplicate_of: pl.Expr | None = None,
) -> pl.DataFrame:
    """Decisions in the frame's order, columns as SCHEMA: a candidate without a reason against it is kept."""
    nothing = pl.lit(None)
    return frame.select(
        "candidate_id",
        "prompt_id",
        filter=pl.lit(name),
        kept=reason.is_null(),
        reason=reason,
        value=nothing if value is None else value,
        rank=nothing if rank is None else rank,
        duplicate_of=nothing if duplicate_of is None else duplicate_of,
    ).cast(SCHEMA)


def reasoning_paths(frame: pl.DataFrame) -> pl.Series:
    """Each candidate's ordered equations, spaces removed (list of text, empty where it has none)."""
    column = frame["path"] if "path" in frame.columns else [None] * frame.height
    paths = [
        list(equations(text or "")) if path is None else path
        for path, text in zip(column, frame["text"], strict=True)
    ]
    return pl.Series("path", paths, pl.List(pl.String))


def path_keys(frame: pl.DataFrame) -> pl.Series:
    """One text per reasoning path, equal where the paths are; no equation holds a space."""
    paths = pl.col("path")
    joined = pl.concat_str(paths.list.len(), paths.list.join(" "), separator=" ")
    return pl.DataFrame([reasoning_paths(frame).alias("path")]).select(joined)["path"]
