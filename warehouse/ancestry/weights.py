"""The line of weights: every checkpoint, training and snapshot of a lake and what they say of each other, in
memory.

There are few of them a round, so that a story of a hundred generations costs one reading of three small
tables.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any

import polars as pl

from schemas.descent import KEYS, LINKS, Link
from warehouse.ancestry.columns import PAIR, asking, joined, named
from warehouse.lake import Lake
from warehouse.query import connect, read

SMALL = ("checkpoints", "trainings", "snapshots")
Fact = dict[str, Any]
Node = tuple[str, str]  # table, id


class Weights:
    """Checkpoints, trainings (finished, else as they began) and snapshots by id, with links both ways.

    Besides the declared links among the three there is one from a snapshot to every checkpoint that wrote its
    examples, as the snapshot itself says. Who judged them stands in other tables and is not told here.
    """

    def __init__(self, lake: Lake) -> None:
        self.rows: dict[Node, Fact] = {}
        self.up: dict[Node, dict[Node, str]] = defaultdict(dict)
        self.down: dict[Node, dict[Node, str]] = defaultdict(dict)
        frames = dict[str, pl.DataFrame]()
        for table in SMALL:
            rows = read(lake, table).sort("recorded_at", maintain_order=True)
            frames[table] = rows.with_columns(key=KEYS[table])
            for row in rows.to_dicts():
                if (
                    table != "trainings"
                    or row["state"] != "failed"
                    or (table, row["training_id"]) not in self.rows
                ):
                    self.rows[table, row[KEYS[table]]] = row
        for link in LINKS:
            if link.child in SMALL and link.parent in SMALL:
                for child, parent in _pairs(link, frames[link.child], frames[link.parent]).iter_rows():
                    self.link((link.child, child), (link.parent, parent), link.name)
        for table, own in list(self.rows):
            for writer in writers(self.rows[table, own]) if table == "snapshots" else ():
                if writer["checkpoint_id"] is not None:
                    self.link((table, own), ("checkpoints", writer["checkpoint_id"]), "written by")

    def link(self, child: Node, parent: Node, name: str) -> None:
        """Say that one descends from the other."""
        self.up[child].setdefault(parent, name)
        self.down[parent].setdefault(child, name)

    def ancestors(self, start: Iterable[Node]) -> list[Node]:
        """The start and all it descends from, nearest first."""
        return _closure(start, self.up)

    def descendants(self, start: Iterable[Node]) -> list[Node]:
        """The start and all that descends from it, nearest first."""
        return _closure(start, self.down)

    def among(self, start: Node, held: Container[Node]) -> list[Node]:
        """A row and all that it descends from by way of some rows alone, nearest first."""
        return _closure([start], {one: [to for to in self.up[one] if to in held] for one in list(self.up)})

    def what(self, node: Node) -> str:
        """The word by which a row is told: a checkpoint's role, a training's objective, a snapshot's."""
        row = self.rows.get(node)
        names = {"checkpoints": "role", "trainings": "objective", "snapshots": "purpose"}
        return str(row[names[node[0]]]) if row is not None else "missing"

    def within(self, start: Node) -> list[Node]:
        """A row and those of the three tables that it was made from, as far as other checkpoints."""
        ends = {one: links for one, links in self.up.items() if one[0] != "checkpoints" or one == start}
        return _closure([start], ends)


def _pairs(link: Link, children: pl.DataFrame, parents: pl.DataFrame) -> pl.DataFrame:
    """All of a link's pairs between rows in memory."""
    if link.by_id:
        return named(link, children)
    with connect() as connection:
        connection.register("children", asking(link, children, down=False).to_arrow())
        connection.register("parents", parents.to_arrow())
        pairs = pl.from_arrow(connection.sql(joined(link, "children", "parents", "1")).to_arrow_table())
    assert isinstance(pairs, pl.DataFrame)
    return pairs.select(PAIR.names()).unique(maintain_order=True)


def writers(snapshot: Fact) -> list[Fact]:
    """Who wrote a snapshot's examples, as its row says; none where it is older than that column."""
    return list(json.loads(snapshot.get("writers") or "[]"))


def _closure(start: Iterable[Node], links: Mapping[Node, Iterable[Node]]) -> list[Node]:
    reached = dict.fromkeys(start)
    queue = list(reached)
    for node in queue:
        for other in links.get(node, ()):
            if other not in reached:
                reached[other] = None
                queue.append(other)
    return queue
