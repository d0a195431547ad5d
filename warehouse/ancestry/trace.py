"""The whole ancestry of any row: by sections, each a checkpoint (or the row itself) and what went into it.

Within a section rows are walked by the declared links until they come to checkpoints, which have sections of
their own. Rows of a kind that are many are told together. Sections beyond a bound of rows tell only what
snapshots say of themselves, so that the cost does not grow with the lake.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.descent import KINDS
from warehouse.ancestry.described import facts
from warehouse.ancestry.find import Found, find
from warehouse.ancestry.walk import EDGES, NODES, Walk, walking
from warehouse.ancestry.weights import SMALL, Fact, Node, Weights, writers
from warehouse.lake import Lake

WALKED = 5_000  # examples of the snapshots that are walked row by row, nearest first
SHOWN = 5  # rows of a kind that are told one by one
BESIDE = [table for table, _ in KINDS["cand"][1:]]  # whose rows have a candidate's id


def ancestry(lake: Lake, text: str, walked: int = WALKED) -> Fact:
    """All that the row with an id (or a prefix of one) descends from.

    `sections` come nearest first, each with `id`, `nodes` (of one row with its `row`, of several with their
    `count`) and `edges` between their keys (an id; where two tables share it the table before it); `whole`
    says whether all its rows were walked. `sources` says which files, or writers of prompts, all this began
    with, as far as rows were walked.
    """
    found, weights = find(lake, text), Weights(lake)
    sections, prompts = list[Fact](), list[pl.DataFrame]()
    todo, seen, left = [found.id], {found.id}, walked
    while todo:
        told, began_with, left = _sections(lake, weights, found, todo, left)
        sections += told
        prompts.append(began_with)
        reached = [(node["table"], node["key"]) for one in told for node in one["nodes"]]
        line = weights.ancestors(node for node in reached if node[0] in SMALL)
        todo = [one for table, one in line if table == "checkpoints" and one not in seen]
        seen.update(todo)
    return {
        "id": found.id,
        "table": found.table,
        "loop": found.loop,
        "round": found.round,
        "sections": sections,
        "sources": _sources(prompts),
    }


def _sections(
    lake: Lake, weights: Weights, found: Found, origins: Sequence[str], left: int
) -> tuple[list[Fact], pl.DataFrame, int]:
    """What each origin was made from, up to checkpoints, the prompts among it, and how many examples may be
    walked after it.

    The line of weights is in memory; only from snapshots on, and from other rows, are tables walked.
    """
    nodes, edges, start = list[tuple[str, ...]](), list[tuple[str, ...]](), list[tuple[str, ...]]()
    rows = [(found.id, *row) for row in found.rows if row[0] not in SMALL and found.id in origins]
    entries = [(one, "checkpoints", one) for one in origins if one != found.id]
    entries += [(found.id, *row) for row in found.rows if row[0] in SMALL and found.id in origins]
    every = (weights.rows.get(("checkpoints", one)) for one in origins)
    with walking(lake, sorted({found.loop, *(row["loop"] for row in every if row)})) as walk:
        first, links_of_first = walk.closure(_frame(rows), stop=frozenset(SMALL))
        entries += [row for row in first.iter_rows() if row[1] in ("trainings", "snapshots")]
        whole = set(origins)
        for origin, table, own in entries:
            within = weights.within((table, own))
            size = sum(
                int(weights.rows.get(one, {}).get("rows", 0)) for one in within if one[0] == "snapshots"
            )
            whole -= {origin} if size > left else set()
            left -= size if size <= left else 0
            for node in within:
                nodes.append((origin, *node))
                edges += _small_edges(weights, origin, node, (table, own), told=origin in whole)
                start += [(origin, *node)] if node[0] == "snapshots" and origin in whole else []
        second, links_of_second = walk.closure(_frame(start), stop=frozenset({"checkpoints"}))
        links = pl.concat([pl.DataFrame(edges, schema=EDGES, orient="row"), links_of_first, links_of_second])
        mine = pl.concat([_frame(nodes), first, second]).unique(maintain_order=True)
        described = pl.concat([_described(walk, weights, part) for part in mine.partition_by("table")])
        grouped = described.with_columns(many=pl.len().over("origin", "table", "what") > SHOWN).with_columns(
            key=pl.when("many")
            .then(pl.format("{}: {}", "table", "what"))
            .when(pl.col("table").is_in(BESIDE))
            .then(pl.format("{} {}", "table", "id"))
            .otherwise("id")
        )
        shown = _facts(walk, weights, grouped.filter(~pl.col("many")))
    counts = {origin: _counts(weights, (table, own)) for origin, table, own in entries if origin not in whole}
    told = [_told(origin, grouped, links, shown, counts.get(origin)) for origin in origins]
    return told, described.filter(table="prompts").select("id", "what", "line").unique(), left


def _frame(rows: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NODES, orient="row")


def _small_edges(
    weights: Weights, origin: str, node: Node, first: Node, *, told: bool
) -> list[tuple[str, ...]]:
    """A node's links within the line of weights. What a snapshot says of its writers is left out where its
    rows are `told`, which say it better.
    """
    if node[0] == "checkpoints" and node != first:
        return []
    return [
        (origin, name, *node, *parent)
        for parent, name in weights.up[node].items()
        if not (told and node[0] == "snapshots")
    ]


def _counts(weights: Weights, first: Node) -> dict[str, int]:
    """How many of the examples of a row's snapshots each checkpoint wrote, as snapshots say."""
    counts = dict[str, int]()
    for node in weights.within(first):
        for one in writers(weights.rows.get(node, {})) if node[0] == "snapshots" else ():
            counts[one["checkpoint_id"]] = counts.get(one["checkpoint_id"], 0) + one["examples"]
    return counts


def _told(
    origin: str,
    grouped: pl.DataFrame,
    links: pl.DataFrame,
    rows: dict[Node, Fact],
    counts: dict[str, int] | None,
) -> Fact:
    """One section: rows of a kind together where they are many, and how many links are between kinds."""
    mine = grouped.filter(origin=origin)
    nodes = (
        mine.group_by("table", "what", "key", maintain_order=True)
        .agg(count=pl.len(), own=pl.col("id").first(), first=pl.col("line").min(), last=pl.col("line").max())
        .to_dicts()
    )
    child = mine.select(child_table="table", child="id", of="key")
    parent = mine.select(parent_table="table", parent="id", to="key")
    met = (
        links.filter(origin=origin)
        .join(child, on=["child_table", "child"])
        .join(parent, on=["parent_table", "parent"])
    )
    edges = met.group_by("of", "link", "to", maintain_order=True).agg(count=pl.len())
    return {
        "id": origin,
        "whole": counts is None,
        "nodes": [_node(node, rows) for node in nodes],
        "edges": [
            {"child": of, "parent": to, "link": link, "count": (counts or {}).get(to, count)}
            for of, link, to, count in edges.iter_rows()
        ],
    }


def _node(node: Fact, rows: dict[Node, Fact]) -> Fact:
    lines = None if node["first"] is None else [node["first"], node["last"]]
    told = {"key": node["key"], "table": node["table"], "what": node["what"], "count": node["count"]}
    return told | {
        "lines": lines,
        "row": rows.get((node["table"], node["own"])) if node["count"] == 1 else None,
    }


def _described(walk: Walk, weights: Weights, nodes: pl.DataFrame) -> pl.DataFrame:
    """Nodes of one table with the words they are told by; a row that the log does not hold is `missing`."""
    table = str(nodes["table"][0])
    if table in SMALL:
        whats = [weights.what((table, one)) for one in nodes["id"]]
        return nodes.with_columns(pl.Series("what", whats, dtype=pl.String), line=pl.lit(None, pl.Int64))
    rows = walk.at(table, nodes["id"].unique()).select("what", "line", id="key")
    known = nodes.join(rows, on="id", how="left", maintain_order="left")
    return known.with_columns(pl.col("what").fill_null("missing"))


def _facts(walk: Walk, weights: Weights, shown: pl.DataFrame) -> dict[Node, Fact]:
    """The facts of rows that are told one by one."""
    rows = {
        node: weights.rows[node] for node in shown.select("table", "id").iter_rows() if node in weights.rows
    }
    for (name,), mine in shown.filter(~pl.col("table").is_in(SMALL)).group_by("table", maintain_order=True):
        table = str(name)
        for row in walk.facts(table, mine["id"].unique().to_list(), facts(table)).to_dicts():
            rows[table, row.pop("key")] = row
    return rows


def _sources(parts: Sequence[pl.DataFrame]) -> list[Fact]:
    """Where prompts came from: each split and source, with how many prompts, and its first and last line."""
    prompts = pl.concat(parts).unique("id")
    by = prompts.group_by("what").agg(prompts=pl.len(), first=pl.col("line").min(), last=pl.col("line").max())
    return by.sort("what").rename({"what": "source"}).to_dicts()
