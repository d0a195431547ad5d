"""What something reached: every row that descends from it, by the same links by which a trace goes up.

First by data alone (what was made from it, as far as the checkpoints trained on that), then by weights too
(what those checkpoints wrote, judged and were measured by, and so on).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from schemas.descent import EXAMPLES
from warehouse.ancestry.select import meant
from warehouse.ancestry.walk import NODES, walking
from warehouse.ancestry.weights import SMALL, Fact, Node, Weights
from warehouse.lake import Lake, Where
from warehouse.query import query, read

WALKED = 200_000  # examples of a lake beyond which what weights reached is told by what snapshots say
STOP = frozenset({"checkpoints"})


def impact(lake: Lake, text: str, walked: int = WALKED) -> Fact:
    """Everything that descends from what a text names (an id, a beginning of one, or as select.py has it).

    `snapshots` and `checkpoints` say how much of each is of it: `examples` made from it by data, and
    `by_weights`, made by a checkpoint that it reached; of a training the steps whose batch held such
    examples, and their share. `rows` counts all that it reached by table and what they are; `whole` says
    whether all were walked.
    """
    name, start, loops = meant(lake, text)
    weights = Weights(lake)
    size = sum(row["rows"] for (table, _), row in weights.rows.items() if table == "snapshots")
    if whole := size <= walked:
        with walking(lake, sorted({row["loop"] for row in weights.rows.values()} | {*loops})) as walk:
            reached, edges = walk.closure(start, down=True)
            counted = _counted(walk.rows, reached)
        by_data = below(start, edges)
    else:
        by_data, counted = made_from(lake, start, loops)
        small = [node for node in by_data.select("table", "id").iter_rows() if node[0] in SMALL]
        line = [("it", *node) for node in weights.descendants(small)]
        line += [("it", "evaluations", own) for own in _evaluations(lake, weights, line)]
        further = pl.DataFrame(line, schema=NODES, orient="row")
        reached = pl.concat([by_data, further]).unique(maintain_order=True)
    direct, wide = _examples(by_data), _examples(reached)
    nodes = [(str(table), str(own)) for table, own in reached.select("table", "id").iter_rows()]
    trainings = [own for table, own in nodes if table == "trainings"]
    steps = _steps(lake, weights, trainings, direct)
    return {
        "id": name,
        "began": dict(start["table"].value_counts().sort("table").iter_rows()),
        "whole": whole,
        "snapshots": [
            _snapshot(weights, own, direct, wide) for own in _in_order(weights, nodes, "snapshots")
        ],
        "checkpoints": [
            _checkpoint(weights, own, {*by_data["id"]}, steps)
            for own in _in_order(weights, nodes, "checkpoints")
        ],
        "evaluations": sorted(own for table, own in nodes if table == "evaluations"),
        "rows": counted,
    }


def made_from(lake: Lake, start: pl.DataFrame, loops: list[str]) -> tuple[pl.DataFrame, list[Fact]]:
    """What was made by data from a start, as far as the checkpoints trained on it, and how many rows of each
    table and kind that is.
    """
    with walking(lake, loops) as walk:
        reached, _ = walk.closure(start, down=True, stop=STOP)
        return reached, _counted(walk.rows, reached)


def _evaluations(lake: Lake, weights: Weights, line: list[tuple[str, str, str]]) -> list[str]:
    """The evaluations of the checkpoints among nodes."""
    mine = [own for _, table, own in line if table == "checkpoints"]
    loops = sorted({weights.rows["checkpoints", own]["loop"] for own in mine})
    rows = read(lake, "evaluations", {"loop": loops}).filter(pl.col("checkpoint_id").is_in(mine))
    return rows["evaluation_id"].to_list()


def below(start: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """The nodes that edges lead down to from a start, as far as checkpoints."""
    children: dict[Node, list[Node]] = {}
    for link in edges.select("parent_table", "parent", "child_table", "child").iter_rows():
        children.setdefault(link[:2], []).append(link[2:])
    begun = [(str(table), str(own)) for table, own in start.select("table", "id").iter_rows()]
    first = set(begun)
    reached = dict.fromkeys(begun)
    queue = [*reached]
    for node in queue:
        if node[0] in STOP and node not in first:
            continue
        fresh = [one for one in children.get(node, ()) if one not in reached]
        reached |= dict.fromkeys(fresh)
        queue += dict.fromkeys(fresh)
    return pl.DataFrame([("it", *node) for node in reached], schema=NODES, orient="row")


def _counted(rows: Mapping[str, pl.DataFrame], reached: pl.DataFrame) -> list[Fact]:
    """How many rows of each table and kind were reached."""
    parts = []
    for (table,), mine in reached.group_by("table", maintain_order=True):
        known = rows.get(str(table))
        if known is not None:
            whats = known.join(mine.select(key="id"), on="key", how="semi")["what"]
            counts = whats.value_counts().sort("what").iter_rows()
            parts += [{"table": table, "what": what, "rows": count} for what, count in counts]
    return sorted(parts, key=lambda one: (one["table"], one["what"] or ""))


def _examples(nodes: pl.DataFrame) -> dict[str, set[str]]:
    """The examples among nodes, by snapshot."""
    found: dict[str, set[str]] = {}
    for own in nodes.filter(table=EXAMPLES)["id"]:
        snapshot, _, example = own.partition("/")
        found.setdefault(snapshot, set()).add(example)
    return found


def _in_order(weights: Weights, nodes: list[Node], table: str) -> list[str]:
    """The rows of a table of the line of weights that were reached, oldest first."""
    mine = [node for node in dict.fromkeys(nodes) if node[0] == table and node in weights.rows]
    return [own for _, own in sorted(mine, key=lambda node: (weights.rows[node]["recorded_at"], node[1]))]


def _snapshot(weights: Weights, own: str, direct: dict[str, set[str]], wide: dict[str, set[str]]) -> Fact:
    row = weights.rows["snapshots", own]
    examples = len(direct.get(own, ()))
    return {
        "snapshot_id": own,
        "loop": row["loop"],
        "round": row["round"],
        "examples": examples,
        "by_weights": len(wide.get(own, ())) - examples,
        "of": row["rows"],
        "share": examples / row["rows"],
    }


def _checkpoint(weights: Weights, own: str, by_data: set[str], steps: dict[str, Fact]) -> Fact:
    row = weights.rows["checkpoints", own]
    told = steps.get(row["training_id"] or "")
    how = "trained on it" if told and told["steps"] else "made from it" if own in by_data else "by weights"
    return {
        "checkpoint_id": own,
        "loop": row["loop"],
        "round": row["round"],
        "role": row["role"],
        "how": how,
        "training_id": row["training_id"],
        **(told or {"steps": 0, "of_steps": 0, "seen": 0, "share": 0.0}),
    }


def _steps(
    lake: Lake, weights: Weights, trainings: list[str], direct: dict[str, set[str]]
) -> dict[str, Fact]:
    """Of each training: the steps whose batch held examples of it, how often those were seen, and what share
    of all that was seen that is.
    """
    mine = [one for one in trainings if direct.get(str(weights.rows["trainings", one]["snapshot_id"]))]
    if not mine:
        return {}
    pairs = [
        (one, example) for one in mine for example in direct[weights.rows["trainings", one]["snapshot_id"]]
    ]
    scope: Where = {
        "loop": sorted({weights.rows["trainings", one]["loop"] for one in mine}),
        "round": sorted({weights.rows["trainings", one]["round"] for one in mine}),
        "training_id": mine,
    }
    sql = """
        WITH fed AS (SELECT training_id, step, unnest(example_ids) AS example_id FROM steps
                     WHERE training_id IN (SELECT unnest($trainings))),
             mine AS (SELECT unnest($of) AS training_id, unnest($examples) AS example_id, true AS hit)
        SELECT training_id, count(DISTINCT step) FILTER (hit) AS steps, count(DISTINCT step) AS of_steps,
               count(hit) AS seen, count(hit) / count(*) AS share
        FROM fed LEFT JOIN mine USING (training_id, example_id) GROUP BY 1"""
    values: dict[str, Any] = {
        "trainings": mine,
        "of": [one for one, _ in pairs],
        "examples": [example for _, example in pairs],
    }
    rows = query(lake, sql, values, scope=scope).to_dicts()
    return {row.pop("training_id"): row for row in rows}
