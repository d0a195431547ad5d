"""What monitors look at, read from the log: one round's sampled answers with verdicts and decisions."""

from __future__ import annotations

import polars as pl

from tasks.audit.reading import Answers
from tasks.verify.maths.maths import equations
from warehouse.lake import Lake, Where
from warehouse.query import query, read

_ANSWERS = """
    WITH decided AS (
        SELECT candidate_id, bool_or(kept) AS accepted
        FROM last_decisions WHERE loop = $loop AND round = $round GROUP BY candidate_id
    )
    SELECT c.candidate_id, c.prompt_id, c.sample_index, c.text, c.token_count,
           s.outcome, s.answer, s.path,
           s.verifier_kind = 'judge' OR NOT list_contains(s.steps, 0.0) AS holds,
           coalesce(d.accepted, false) AS accepted
    FROM candidates AS c
    JOIN scores AS s ON s.candidate_id = c.candidate_id AND s.verifier = $verifier
        AND coalesce(s.role, 'filter') = 'filter'
    LEFT JOIN decided AS d ON d.candidate_id = c.candidate_id
    WHERE c.loop = $loop AND c.round = $round AND c.split = 'train' AND c.kind = 'answer'
    ORDER BY c.candidate_id"""


def round_answers(lake: Lake, loop: str, round_number: int, verifier: str) -> Answers:
    """The answers of one round to its training prompts, in order of id.

    A judge reads no equations: its answers' paths are read from their texts, and none counts as broken.
    """
    scope: Where = {"loop": loop, "round": round_number}
    values = {"loop": loop, "round": round_number, "verifier": verifier}
    frame = _with_paths(query(lake, _ANSWERS, values, scope=scope))
    prompts = read(lake, "prompts", {"loop": loop, "round": sorted({0, round_number})})
    topics = prompts.select("prompt_id", "topic", "difficulty")
    return Answers(round_number, frame.join(topics, on="prompt_id", how="left"))


def _with_paths(frame: pl.DataFrame) -> pl.DataFrame:
    paths = [
        list(equations(text)) if path is None else path
        for path, text in zip(frame["path"].to_list(), frame["text"].to_list(), strict=True)
    ]
    return frame.with_columns(pl.Series("path", paths, pl.List(pl.String)))
