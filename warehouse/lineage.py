"""Trace: from a checkpoint back to the base, and from a candidate to every weight it has touched."""

from __future__ import annotations

from typing import Any

from schemas.errors import NotFound
from schemas.identity import example_id
from schemas.ids import kind_of, round_of
from schemas.tables import TABLES
from warehouse.ancestry.weights import writers
from warehouse.lake import Lake, Where
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
    """A checkpoint's generations, newest first, each with its training, examples, pairs and who wrote them.

    The loop's checkpoints, trainings, snapshots and measurements are read once each, and pairs with their
    judge's points, where there are any, once too, however many generations there are.
    """
    loop = _one(lake, "checkpoints", "checkpoint_id", checkpoint_id)["loop"]
    checkpoints = {row["checkpoint_id"]: row for row in _rows(lake, "checkpoints", loop)}
    line: list[Fact] = []
    at: str | None = checkpoint_id
    while at is not None:
        if at not in checkpoints:
            raise NotFound(f"the lake at {lake.where} holds no {at}, from which {checkpoint_id} descends")
        line.append(checkpoints[at])
        at = checkpoints[at]["parent_id"]
    return {
        "kind": "checkpoint",
        "id": checkpoint_id,
        "generations": _generations(lake, loop, line, checkpoints),
    }


def trace_candidate(lake: Lake, candidate_id: str) -> Fact:
    """A candidate's life: prompt, writer, verdicts, decisions, preferences, steps and checkpoints.

    Of a revision, `revises` is the critique that it follows, whose `candidate_id` is the text it revises.
    """
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
    beside = "SELECT * FROM preferences WHERE loop = $loop AND $candidate IN (chosen_id, rejected_id)"
    preferences = query(
        lake,
        f"{beside} ORDER BY round, preference_id",
        {"loop": loop, "candidate": candidate_id},
        scope={"loop": loop, "prompt_id": candidate["prompt_id"]},
    )
    return {
        "kind": "candidate",
        "id": candidate_id,
        "candidate": candidate,
        "prompt": prompt.to_dicts()[0] if prompt.height else None,
        "scores": read(lake, "scores", mine | {"round": born}).sort("score_id").to_dicts(),
        "decisions": read(lake, "decisions", mine).sort("round", "position").to_dicts(),
        "preferences": preferences.to_dicts(),
        "revises": _critique(lake, loop, candidate),
        "uses": uses,
        "checkpoints": _descendants(lake, loop, [use["checkpoint_id"] for use in uses]),
    }


def _critique(lake: Lake, loop: str, candidate: Fact) -> Fact | None:
    """The critique that a revision follows; None for other candidates."""
    own = candidate["critique_id"]
    return None if own is None else _one(lake, "critiques", "critique_id", own)


def _generations(lake: Lake, loop: str, line: list[Fact], checkpoints: dict[str, Fact]) -> list[Fact]:
    """Checkpoints with the trainings that made them, what those were fed, by which guests (a teacher, whose
    origin may name another loop's checkpoint), and how they measured.
    """
    trainings = {
        row["training_id"]: row for row in _rows(lake, "trainings", loop) if row["state"] == "finished"
    }
    snapshots = {row["snapshot_id"]: row for row in _rows(lake, "snapshots", loop)}
    measured = _grouped(_rows(lake, "evaluations", loop), "checkpoint_id")
    pairs = _pairs(lake, loop, list(snapshots.values()))
    generations = []
    for checkpoint in line:
        training = trainings.get(checkpoint["training_id"])
        snapshot = None if training is None else snapshots.get(training["snapshot_id"])
        generations.append(
            {
                "checkpoint": checkpoint,
                "training": training,
                "snapshot": snapshot,
                "writers": writers(snapshot or {}),
                "guests": _guests(snapshot, checkpoints),
                "pairs": pairs.get(snapshot["snapshot_id"]) if snapshot else None,
                "evaluations": measured.get(checkpoint["checkpoint_id"], []),
            }
        )
    return generations


def _guests(snapshot: Fact | None, checkpoints: dict[str, Fact]) -> list[Fact]:
    """The checkpoints among the writers of a snapshot that the loop did not train."""
    wrote = {writer["checkpoint_id"] for writer in writers(snapshot or {})}
    rows = [one for own, one in sorted(checkpoints.items()) if own in wrote]
    return [one for one in rows if one["role"] != "policy"]


def _pairs(lake: Lake, loop: str, snapshots: list[Fact]) -> dict[str, Fact]:
    """By snapshot that holds pairs: how many, their judge's mean points, and who judged."""
    paired = [one["snapshot_id"] for one in snapshots if any(w["kind"] == "rejected" for w in writers(one))]
    if not paired:
        return {}
    sql = """
        SELECT e.snapshot_id, count(*) AS pairs, avg(f.chosen_value) AS chosen_value,
               avg(f.rejected_value) AS rejected_value,
               list(DISTINCT f.judge_checkpoint_id ORDER BY f.judge_checkpoint_id)
                   FILTER (f.judge_checkpoint_id IS NOT NULL) AS judges
        FROM examples AS e
        LEFT JOIN preferences AS f ON f.loop = $loop AND f.preference_id = e.preference_id
        WHERE e.rejected_id IS NOT NULL AND e.snapshot_id IN (SELECT unnest($snapshots))
        GROUP BY 1"""
    rows = query(lake, sql, {"loop": loop, "snapshots": paired}, scope={"loop": loop}).to_dicts()
    return {row.pop("snapshot_id"): row for row in rows}


def _rows(lake: Lake, table: str, loop: str) -> list[Fact]:
    """A loop's rows of a table that has few a round, in one order."""
    return read(lake, table, {"loop": loop}).sort("round", *TABLES[table].order).to_dicts()


def _grouped(rows: list[Fact], column: str) -> dict[str | None, list[Fact]]:
    groups: dict[str | None, list[Fact]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _uses(lake: Lake, loop: str, candidate_id: str) -> list[Fact]:
    """Every training that used a candidate, with the optimizer steps and the checkpoint it made.

    Of a pair, `place` is chosen or rejected, and `beside` is the other candidate. There are three narrow
    look-ups: the snapshots that hold it, the trainings on those, and their steps. Snapshots are sorted by
    the example's id, which follows from the candidate's unless it is one of a pair.
    """
    sql = """
        SELECT snapshot_id, example_id, NULL AS place, NULL AS beside
        FROM examples WHERE example_id = $example
        UNION ALL
        SELECT snapshot_id, example_id, if(rejected_id = $candidate, 'rejected', 'chosen'),
               if(rejected_id = $candidate, candidate_id, rejected_id)
        FROM examples WHERE rejected_id IS NOT NULL AND $candidate IN (candidate_id, rejected_id)
        ORDER BY ALL"""
    values = {"example": example_id(candidate_id), "candidate": candidate_id}
    examples = query(lake, sql, values, scope={"loop": loop}).to_dicts()
    snapshots = sorted({row["snapshot_id"] for row in examples})
    trainings = [row for row in _trainings_on(lake, loop, snapshots) if row["state"] == "finished"]
    steps = (
        _steps(lake, loop, trainings, sorted({row["example_id"] for row in examples})) if trainings else {}
    )
    return [
        {
            "round": training["round"],
            "snapshot_id": training["snapshot_id"],
            "example_id": row["example_id"],
            "place": row["place"],
            "beside": row["beside"],
            "training_id": training["training_id"],
            "checkpoint_id": training["checkpoint_id"],
            "steps": steps[training["training_id"], row["example_id"]],
        }
        for training in trainings
        for row in examples
        if row["snapshot_id"] == training["snapshot_id"]
        and (training["training_id"], row["example_id"]) in steps
    ]


def _steps(
    lake: Lake, loop: str, trainings: list[Fact], examples: list[str]
) -> dict[tuple[str, str], list[int]]:
    """The optimizer steps in which each training used each of some examples."""
    sql = """
        WITH used AS (
            SELECT training_id, step, unnest(example_ids) AS example_id FROM steps
            WHERE loop = $loop AND list_has_any(example_ids, $examples))
        SELECT training_id, example_id, list(step ORDER BY step) AS steps FROM used
        WHERE example_id IN (SELECT unnest($examples)) GROUP BY ALL"""
    scope: Where = {
        "loop": loop,
        "round": sorted({row["round"] for row in trainings}),
        "training_id": [row["training_id"] for row in trainings],
    }
    rows = query(lake, sql, {"loop": loop, "examples": examples}, scope=scope)
    columns = ("training_id", "example_id", "steps")
    return {(training, example): steps for training, example, steps in rows.select(columns).iter_rows()}


def _trainings_on(lake: Lake, loop: str, snapshots: list[str]) -> list[Fact]:
    rounds = sorted({number for one in snapshots if (number := round_of(one)) is not None})
    where: Where = {"loop": loop, "round": rounds, "snapshot_id": snapshots}
    return read(lake, "trainings", where).sort("round", "event_id").to_dicts()


def _descendants(lake: Lake, loop: str, sources: list[str]) -> list[Fact]:
    """These checkpoints and every one trained from them since: all weights that the example touched."""
    rows = read(lake, "checkpoints", {"loop": loop}).sort("round", "checkpoint_id").to_dicts()
    touched = dict.fromkeys(sources, "trained on it")
    children = _grouped(rows, "parent_id")
    queue: list[str] = [*touched]
    while queue:
        for child in children.get(queue.pop(), []):
            if child["checkpoint_id"] not in touched:
                touched[child["checkpoint_id"]] = "descends from one that was"
                queue.append(child["checkpoint_id"])
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
