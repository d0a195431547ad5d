"""Trace: from a checkpoint back to the base, and from a candidate to every weight it has touched."""

from __future__ import annotations

from typing import Any

import polars as pl

from schemas.errors import NotFound
from schemas.ids import kind_of, round_of
from warehouse.lake import Lake
from warehouse.query import query, read

Fact = dict[str, Any]


def trace(lake: Lake, row_id: str) -> Fact:
    """The story of a checkpoint or of a candidate, by its id; NotFound where the lake has neither."""
    kind = kind_of(row_id)
    if kind == "ckpt":
        return trace_checkpoint(lake, row_id)
    if kind == "cand":
        return trace_candidate(lake, row_id)
    raise NotFound(f"{row_id!r} is neither a checkpoint's id (ckpt-...) nor a candidate's (cand-...)")


def trace_checkpoint(lake: Lake, checkpoint_id: str) -> Fact:
    """A checkpoint's generations, newest first, each with its training, examples and who wrote them."""
    generations: list[Fact] = []
    at: str | None = checkpoint_id
    while at is not None:
        checkpoint = _one(lake, "checkpoints", "checkpoint_id", at)
        generations.append(_generation(lake, checkpoint))
        at = checkpoint["parent_id"]
    return {"kind": "checkpoint", "id": checkpoint_id, "generations": generations}


def trace_candidate(lake: Lake, candidate_id: str) -> Fact:
    """A candidate's life: prompt, writer, verdicts, decisions, snapshots, steps and checkpoints."""
    candidate = _one(lake, "candidates", "candidate_id", candidate_id)
    loop, born = candidate["loop"], candidate["round"]
    mine = {"loop": loop, "candidate_id": candidate_id}
    prompt_round = round_of(candidate["prompt_id"]) or 0
    prompt = read(
        lake,
        "prompts",
        {"loop": loop, "round": prompt_round, "prompt_id": candidate["prompt_id"]},
    )
    uses = _uses(lake, loop, candidate_id)
    return {
        "kind": "candidate",
        "id": candidate_id,
        "candidate": candidate,
        "prompt": prompt.to_dicts()[0] if prompt.height else None,
        "scores": read(lake, "scores", mine | {"round": born}).sort("score_id").to_dicts(),
        "decisions": read(lake, "decisions", mine).sort("round", "position").to_dicts(),
        "uses": uses,
        "checkpoints": _descendants(lake, loop, [use["checkpoint_id"] for use in uses]),
    }


def _generation(lake: Lake, checkpoint: Fact) -> Fact:
    """One checkpoint with the training that made it and what its snapshot was made of."""
    told: Fact = {"checkpoint": checkpoint, "training": None, "snapshot": None, "writers": []}
    measured = {"loop": checkpoint["loop"], "checkpoint_id": checkpoint["checkpoint_id"]}
    told["evaluations"] = read(lake, "evaluations", measured).sort("metric").to_dicts()
    if checkpoint["training_id"] is None:
        return told
    place = {"loop": checkpoint["loop"], "round": checkpoint["round"]}
    trainings = read(lake, "trainings", place | {"training_id": checkpoint["training_id"]})
    finished = trainings.filter(pl.col("state") == "finished").to_dicts()
    if not finished:
        return told
    told["training"] = finished[0]
    snapshots = read(lake, "snapshots", place | {"snapshot_id": finished[0]["snapshot_id"]})
    told["snapshot"] = snapshots.to_dicts()[0] if snapshots.height else None
    told["writers"] = _writers(lake, checkpoint["loop"], finished[0]["snapshot_id"])
    return told


def _writers(lake: Lake, loop: str, snapshot_id: str) -> list[Fact]:
    """Who wrote a snapshot's examples, by round and checkpoint, with how many each."""
    sql = """
        SELECT c.round, c.checkpoint_id, c.kind, count(*) AS examples,
               count(DISTINCT e.prompt_id) AS prompts
        FROM examples AS e
        JOIN candidates AS c ON c.candidate_id = e.candidate_id AND c.loop = $loop
        WHERE e.snapshot_id = $snapshot
        GROUP BY ALL ORDER BY ALL"""
    rows = query(lake, sql, {"loop": loop, "snapshot": snapshot_id}, scope={"loop": loop})
    return rows.to_dicts()


def _uses(lake: Lake, loop: str, candidate_id: str) -> list[Fact]:
    """Every training that used a candidate, with the optimizer steps and the checkpoint it made."""
    sql = """
        WITH held AS (
            SELECT snapshot_id, example_id FROM examples WHERE candidate_id = $candidate
        )
        SELECT t.round, held.snapshot_id, held.example_id, t.training_id, t.checkpoint_id,
               list(s.step ORDER BY s.step) AS steps
        FROM held
        JOIN trainings AS t ON t.snapshot_id = held.snapshot_id AND t.state = 'finished'
        JOIN steps AS s ON s.training_id = t.training_id AND list_contains(s.example_ids, held.example_id)
        WHERE t.loop = $loop AND s.loop = $loop
        GROUP BY ALL ORDER BY t.round"""
    scope = {"loop": loop}
    return query(lake, sql, {"loop": loop, "candidate": candidate_id}, scope=scope).to_dicts()


def _descendants(lake: Lake, loop: str, made: list[str]) -> list[Fact]:
    """The checkpoints made, and every one trained from them since: all weights the example touched."""
    rows = read(lake, "checkpoints", {"loop": loop}).sort("round", "checkpoint_id").to_dicts()
    touched = dict.fromkeys(made, "trained on it")
    for row in rows:  # parents come in earlier rounds than their children
        if row["parent_id"] in touched and row["checkpoint_id"] not in touched:
            touched[row["checkpoint_id"]] = "descends from one that was"
    return [
        {
            "checkpoint_id": row["checkpoint_id"],
            "round": row["round"],
            "how": touched[row["checkpoint_id"]],
        }
        for row in rows
        if row["checkpoint_id"] in touched
    ]


def _one(lake: Lake, table: str, column: str, row_id: str) -> Fact:
    """The one row with an id; the round in the id prunes the files to look in."""
    where: dict[str, str | int] = {column: row_id}
    born = round_of(row_id)
    if born is not None:
        where["round"] = born
    rows = read(lake, table, where)
    if rows.is_empty():
        raise NotFound(f"the lake at {lake.where} holds no {row_id}")
    return rows.to_dicts()[0]
