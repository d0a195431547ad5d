"""Keeps at most so many candidates a prompt, so that easy prompts do not crowd out the others.

Different reasoning paths come first (it is they that carry the gain, Yuan et al. 2023, arXiv 2308.01825);
among equals a seeded hash of the id decides, which favours no length, no checkpoint and no round.
"""

from __future__ import annotations

import polars as pl

from schemas.errors import BadInput
from schemas.ids import digest
from tasks.filter.decision import decide, path_keys


def cap(frame: pl.DataFrame, per_prompt: int, seed: int = 0) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the rank is the place among the prompt's, kept below `per_prompt`."""
    if per_prompt < 1:
        raise BadInput(f"a cap of {per_prompt} candidates a prompt keeps nothing: give 1 or more")
    lots = pl.Series([digest((seed, candidate)) for candidate in frame["candidate_id"]], dtype=pl.String)
    turn = pl.col("lot").rank("ordinal").over("prompt_id", "path")  # the nth text of its path
    place = pl.struct("turn", "lot").rank("ordinal").over("prompt_id") - 1
    ranked = (
        frame.with_columns(path=path_keys(frame), lot=lots)
        .with_columns(turn=turn)
        .with_columns(rank=place.cast(pl.Int64))
    )
    reason = pl.when(pl.col("rank") >= per_prompt).then(pl.lit("over cap"))
    return decide(ranked, "cap", reason, rank=pl.col("rank"))
