"""Runs filters one after the other, each on what the one before kept, and keeps every decision."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.errors import BadInput
from tasks.filter.decision import SCHEMA, Filter


def run_chain(frame: pl.DataFrame, filters: Sequence[Filter]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All decisions of all filters, and the rows of `frame` that every filter kept, in its order.

    Decisions have the columns of decision.SCHEMA and `position`, the filter's place in the chain from 0;
    they are a funnel: a filter decides on exactly the candidates that the one before it kept.
    BadInput where a candidate is in the frame twice.
    """
    if frame["candidate_id"].is_duplicated().any():
        raise BadInput("a candidate was given to the filters twice: give each candidate_id one row")
    decisions = [pl.DataFrame(schema={**SCHEMA, "position": pl.Int64})]
    for position, each in enumerate(filters):
        decided = each(frame)
        decisions.append(decided.with_columns(position=pl.lit(position, pl.Int64)))
        frame = frame.join(decided.filter("kept"), on="candidate_id", how="semi", maintain_order="left")
    return pl.concat(decisions), frame


def survivors(decisions: pl.DataFrame) -> pl.DataFrame:
    """The candidates that the last filter of their chain kept: candidate_id, in order of id.

    `decisions` are rows of table `decisions` of one chain. In SQL the same rule is view `last_decisions`.
    """
    last = decisions.group_by("candidate_id").agg(pl.col("kept").sort_by("position").last())
    return last.filter("kept").select("candidate_id").sort("candidate_id")
