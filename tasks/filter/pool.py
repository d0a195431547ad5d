"""The pool a round filters: its own answers, those earlier rounds kept, and the references (D and D')."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from schemas.ids import digest
from tasks.filter.decision import decide
from warehouse.lake import Lake, Where
from warehouse.query import query

COLUMNS = (
    *("candidate_id", "prompt_id", "prompt", "messages", "text", "finish_reason", "token_count"),
    *("outcome", "steps", "path"),
)

_KEPT_BEFORE = """
    WITH kept AS (
        SELECT DISTINCT loop, round, candidate_id FROM last_decisions
        WHERE loop = $loop AND round IN (SELECT unnest($rounds)) AND kept
    )
    SELECT c.candidate_id, c.prompt_id, p.text AS prompt, p.messages, c.text, c.finish_reason, c.token_count,
           s.outcome, s.steps, s.path, k.round
    FROM kept AS k
    JOIN candidates AS c USING (loop, round, candidate_id)
    JOIN scores AS s USING (loop, round, candidate_id)
    JOIN prompts AS p ON p.loop = $loop AND p.prompt_id = c.prompt_id
    WHERE c.kind = 'answer' AND s.verifier = $verifier
      AND coalesce(s.role, 'filter') = 'filter'
    ORDER BY c.candidate_id"""

_REFERENCES = """
    SELECT c.candidate_id, c.prompt_id, p.text AS prompt, p.messages, c.text, c.finish_reason, c.token_count,
           s.outcome, s.steps, s.path
    FROM candidates AS c
    JOIN scores AS s USING (loop, round, candidate_id)
    JOIN prompts AS p ON p.loop = $loop AND p.prompt_id = c.prompt_id
    WHERE c.loop = $loop AND c.kind = 'reference' AND s.verifier = $verifier
      AND coalesce(s.role, 'filter') = 'filter'
    ORDER BY c.candidate_id"""


def kept_before(lake: Lake, loop: str, rounds: Sequence[int], verifier: str) -> pl.DataFrame:
    """Answers born in these rounds that a chain of their own round kept: columns as `COLUMNS`, and round."""
    values = {"loop": loop, "rounds": list(rounds), "verifier": verifier}
    return query(lake, _KEPT_BEFORE, values, scope={"loop": loop, "round": [0, *rounds]})


def newest(earlier: pl.DataFrame, seed: int) -> dict[str, int]:
    """The place of each answer that earlier rounds kept: newest round first, by lot within a round."""
    lots = [digest((seed, one)) for one in earlier["candidate_id"]]
    ordered = earlier.with_columns(pl.Series("lot", lots, dtype=pl.String)).sort(
        "round", "lot", descending=[True, False]
    )
    return {one: place for place, one in enumerate(ordered["candidate_id"])}


def within_budget(frame: pl.DataFrame, places: Mapping[str, int], most: int) -> pl.DataFrame:
    """Decisions on the round's own answers, which are all kept, and on earlier ones, by their places."""
    known = [places.get(one) for one in frame["candidate_id"]]
    ranked = frame.with_columns(pl.Series("rank", known, dtype=pl.Int64))
    reason = pl.when(pl.col("rank") >= most).then(pl.lit("over budget"))
    return decide(ranked, "budget", reason, rank=pl.col("rank"))


def references(lake: Lake, loop: str, verifier: str) -> pl.DataFrame:
    """The loop's worked reference solutions: columns as `COLUMNS`."""
    scope: Where = {"loop": loop, "round": 0}
    return query(lake, _REFERENCES, {"loop": loop, "verifier": verifier}, scope=scope)


def reference_share(frame: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The decision on each reference solution: a share of them is trained on, chosen by hash."""
    lots = [int(digest(("reference", seed, one))[:12], 16) / 16**12 for one in frame["candidate_id"]]
    marked = frame.with_columns(pl.Series("lot", lots, dtype=pl.Float64))
    reason = pl.when(pl.col("lot") >= share).then(pl.lit("outside the reference share"))
    return decide(marked, "reference_share", reason, value=pl.col("lot"))
