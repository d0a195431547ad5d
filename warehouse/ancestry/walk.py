"""Walking the graph of what descends from what, up or down, a set of rows at a time, by the declared links
alone.

Rows that are come to stay in memory with the columns that links ask for; the tables are read only for what
is next, in the files that can hold it: by round, by loop, and by id where there are few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from schemas.descent import EXAMPLES, KEYS, LINKS, Link
from schemas.tables import TABLES
from warehouse.ancestry.columns import OF_SNAPSHOTS, PAIR, asking, columns, each, joined, named, names
from warehouse.lake import Lake, Where
from warehouse.query import connect, read, snapshot_files
from warehouse.relations import relation, relation_examples
from warehouse.store.trouble import disk_errors

FEW = 64  # ids by which files are pruned one by one
KEPT = 4_000_000  # bytes of files whose rows are read once and stay in memory
NOWHERE: Where = {"loop": []}
NODES = pl.Schema({"origin": pl.String, "table": pl.String, "id": pl.String})
EDGES = pl.Schema(
    {"origin": pl.String, "link": pl.String, "child_table": pl.String, "child": pl.String}
    | {"parent_table": pl.String, "parent": pl.String}
)
_ROUND = re.compile(r"[a-z]+-(\d{5,})-")


class Walk:
    """Steps over a lake's links. `loops` are the loops to stay in, but for links that lead across."""

    def __init__(self, lake: Lake, connection: duckdb.DuckDBPyConnection, loops: Sequence[str]) -> None:
        self._lake, self._connection, self._loops = lake, connection, list(loops)
        self._last: int | None = None
        self._kept: dict[tuple[str, ...], str] = {}  # table and files -> the table in memory
        self.rows: dict[str, pl.DataFrame] = {}  # what was come to: key, what, line and what links ask for

    def closure(
        self, start: pl.DataFrame, *, down: bool = False, stop: frozenset[str] = frozenset()
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """All that the start's rows (columns of NODES) descend from, or with `down` all that descends from
        them: nodes, the start among them, and edges, each by the origin that it was come to from.

        Rows of tables in `stop` are come to and not gone on from, nor read, unless the start names them.
        """
        nodes = frontier = start.select(NODES.names()).unique(maintain_order=True)
        edges = [pl.DataFrame(schema=EDGES)]
        while frontier.height:
            found = self._step(frontier, down)
            edges.append(found)
            side = "child" if down else "parent"
            reached = found.select("origin", table=f"{side}_table", id=side).unique(maintain_order=True)
            fresh = reached.join(nodes, on=NODES.names(), how="anti")
            nodes = pl.concat([nodes, fresh])
            frontier = fresh.filter(~pl.col("table").is_in(list(stop)))
        return nodes, pl.concat(edges)  # each row is gone on from once, so that no link is there twice

    def _step(self, frontier: pl.DataFrame, down: bool) -> pl.DataFrame:
        """The links that lead up (or down) from a frontier's rows, as edges."""
        parts = [pl.DataFrame(schema=EDGES)]
        side = "parent" if down else "child"
        for (name,), mine in frontier.group_by("table", maintain_order=True):
            table = str(name)
            rows = self.at(table, mine["id"].unique(maintain_order=True))
            for link, pairs in self._below(table, rows) if down else self._above(table, rows):
                parts.append(
                    mine.select("origin", pl.col("id").alias(side))
                    .join(pairs, on=side, maintain_order="left")
                    .select(
                        "origin",
                        pl.lit(link.name).alias("link"),
                        pl.lit(link.child).alias("child_table"),
                        "child",
                        pl.lit(link.parent).alias("parent_table"),
                        "parent",
                    )
                )
        return pl.concat(parts)

    def parents(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Child, parent_table and parent of the links up from rows that need not be in the lake yet."""
        parts = [
            pairs.select("child", "parent", pl.lit(link.parent).alias("parent_table"))
            for link, pairs in self._above(table, rows)
        ]
        return pl.concat(parts)

    def _above(self, table: str, rows: pl.DataFrame) -> Iterator[tuple[Link, pl.DataFrame]]:
        """The links from some rows to their parents."""
        for link in (one for one in LINKS if one.child == table):
            if link.by_id:
                yield link, named(link, rows)
            elif (asked := asking(link, rows, down=False)).height:
                yield link, self._resting(link, asked, self._scope_above(link, asked), down=False)

    def _below(self, table: str, rows: pl.DataFrame) -> Iterator[tuple[Link, pl.DataFrame]]:
        """The links to some rows from their children."""
        mine = [one for one in LINKS if one.parent == table]
        for child in dict.fromkeys(one.child for one in mine if one.by_id):
            links = [one for one in mine if one.child == child and one.by_id]
            self._children(child, links, rows["key"].to_list())
            for link in links:
                yield (
                    link,
                    named(link, self.rows[child]).join(rows.select(parent="key"), on="parent", how="semi"),
                )
        for link in mine:
            if not link.by_id and (asked := asking(link, rows, down=True)).height:
                yield (
                    link,
                    self._resting(
                        link,
                        asked,
                        self._scope_below([link], asked["round"].unique().sort().to_list()),
                        down=True,
                    ),
                )

    def _children(self, child: str, links: Sequence[Link], ids: list[str]) -> None:
        """Read the rows of a table that name some of these ids in the columns of some links."""
        view = self._relation(child, self._scope_below(links, rounds_in(ids), ids))
        if view is None:
            self._keep(child, None)
            return
        self._connection.register("asked", pl.DataFrame({"id": ids}, schema={"id": pl.String}).to_arrow())
        met = " UNION ALL ".join(
            f"(SELECT t.* FROM (SELECT *, {each(link.on[0][0])} AS named FROM {view}) AS t "
            "SEMI JOIN asked AS a ON a.id = t.named)"
            for link in links
        )
        self._keep(child, self._sql(f"SELECT DISTINCT {', '.join(names(child))} FROM ({met})"))

    def _resting(self, link: Link, asked: pl.DataFrame, scope: Where, down: bool) -> pl.DataFrame:
        """The pairs of a link that no column names, from rows in memory on one side; the others are read."""
        far = link.child if down else link.parent
        view = self._relation(far, scope)
        if view is None:
            return pl.DataFrame(schema=PAIR)
        self._connection.register("near", asked.to_arrow())
        c, p = (view, "near") if down else ("near", view)
        read = ", ".join(f"{'c' if down else 'p'}.{name}" for name in names(far))
        found = self._sql(joined(link, c, p, read))
        self._keep(far, found.drop(PAIR.names()))
        return found.select(PAIR.names()).unique(maintain_order=True)

    def at(self, table: str, ids: pl.Series) -> pl.DataFrame:
        """Rows by key, from memory where they are there."""
        known = self.rows.get(table)
        lacking = ids if known is None else ids.filter(~ids.is_in(known["key"].implode()))
        if len(lacking) or known is None:
            self.load(table, lacking.to_list())
        return self.rows[table].join(ids.alias("key").to_frame(), on="key", how="semi")

    def load(self, table: str, ids: list[str]) -> None:
        """Read rows by key into memory."""
        view = self._relation(table, self._scope(table, ids))
        if view is None:
            self._keep(table, None)
            return
        self._connection.register("asked", pl.DataFrame({"id": ids}, schema={"id": pl.String}).to_arrow())
        self._keep(table, self._sql(f"SELECT * FROM {view} AS t SEMI JOIN asked AS a ON a.id = t.key"))

    def facts(self, table: str, ids: list[str], columns: str) -> pl.DataFrame:
        """Columns (SQL) of the newest rows with these keys, beside `key`."""
        _, source = self._source(table, self._scope(table, ids))
        self._connection.register("asked", pl.DataFrame({"id": ids}, schema={"id": pl.String}).to_arrow())
        return self._sql(
            f"SELECT t.key, {columns} FROM (SELECT {KEYS[table]} AS key, * FROM ({source})) AS t "
            "SEMI JOIN asked AS a ON a.id = t.key "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY recorded_at DESC) = 1"
        )

    def _keep(self, table: str, rows: pl.DataFrame | None) -> None:
        known = self.rows.get(table)
        if rows is None and known is None:
            rows = self._sql(f"SELECT {columns(table)} FROM ({self._source(table, NOWHERE)[1]})")
        parts = [one for one in (known, rows) if one is not None]
        self.rows[table] = pl.concat(parts, how="vertical_relaxed").unique(
            "key", keep="last", maintain_order=True
        )

    def _scope(self, table: str, ids: Sequence[str]) -> Where:
        """Where rows with these ids lie: by round and loop, by the ids themselves where they are few."""
        scope: dict[str, str | int | Sequence[str] | Sequence[int]] = {"loop": self._loops}
        if table == EXAMPLES:
            return {**scope, "snapshot_id": sorted({one.split("/")[0] for one in ids})}
        if len(ids) <= FEW and KEYS[table] in TABLES[table].statistics:
            scope[KEYS[table]] = list(ids)
        return {**scope, "round": rounds_in(ids)}

    def _scope_above(self, link: Link, rows: pl.DataFrame) -> Where:
        """Where a link's parents can lie, seen from children's rows."""
        if link.across:
            return {}
        rounds = rows["round"].unique().sort().to_list()
        mine, other = link.on[0]
        ids = rows[mine].unique().to_list() if mine in rows.columns else []
        if link.when != "same":  # what is said of a row is not older than it
            rounds = list(range(min(rounds_in(ids), default=0), max(rounds, default=0) + 1))
        scope: dict[str, str | int | Sequence[str] | Sequence[int]] = {"round": rounds, "loop": self._loops}
        few = ids and len(ids) <= FEW and link.parent in TABLES
        if few and other in TABLES[link.parent].statistics:
            scope[other] = ids
        return scope

    def _scope_below(self, links: Sequence[Link], rounds: list[int], ids: Sequence[str] = ()) -> Where:
        """Where links' children can lie, seen from parents of some rounds, which they name by `ids`."""
        link = links[0]
        if link.across:
            return {}
        if link.when != "same":
            rounds = list(range(min(rounds, default=0), self._last_round() + 1))
        scope: dict[str, str | int | Sequence[str] | Sequence[int]] = {"round": rounds, "loop": self._loops}
        column = link.on[0][0]
        few = ids and len(links) == 1 and len(ids) <= FEW and link.child in TABLES
        if few and column in TABLES[link.child].statistics:
            scope[column] = list(ids)
        return scope

    def _last_round(self) -> int:
        if self._last is None:
            newest = read(self._lake, "rounds", {"loop": self._loops})["round"].max()
            self._last = int(newest) if isinstance(newest, int) else 0
        return self._last

    def _relation(self, table: str, scope: Where) -> str | None:
        """A table's rows in a scope, with the columns that links ask for; None where no file holds any.

        What is small is read once and stays in memory.
        """
        paths, rows = self._source(table, scope)
        if not paths:
            return None
        chosen = f"(SELECT {columns(table)} FROM ({rows}))"
        if sum(Path(path).stat().st_size for path in paths) > KEPT:
            return chosen
        if (table, *paths) not in self._kept:
            name = f"kept_{len(self._kept)}"
            self._connection.execute(f"CREATE TEMP TABLE {name} AS FROM {chosen}")
            self._kept[table, *paths] = name
        return self._kept[table, *paths]

    def _source(self, table: str, scope: Where) -> tuple[list[str], str]:
        """The files of a table's rows in a scope, and SQL for those rows."""
        if table != EXAMPLES:
            sources = self._lake.sources(table, scope)
            return sources.paths, relation(TABLES[table], sources)
        snapshots = relation(TABLES["snapshots"], self._lake.sources("snapshots", scope))
        paths = snapshot_files(self._lake, scope)
        own = ", ".join(f"s.{name}" for name in OF_SNAPSHOTS)
        examples = f"({relation_examples(paths)}) AS e JOIN ({snapshots}) AS s USING (snapshot_id)"
        return paths, f"SELECT {own}, e.* FROM {examples}"

    def _sql(self, sql: str) -> pl.DataFrame:
        frame = pl.from_arrow(self._connection.sql(sql).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame


@contextmanager
def walking(lake: Lake, loops: Sequence[str]) -> Iterator[Walk]:
    """A walk over the lake for the time of a block."""
    with disk_errors(f"the lake at {lake.where} cannot be asked"), connect() as connection:
        yield Walk(lake, connection, loops)


def rounds_in(ids: Sequence[str]) -> list[int]:
    """The rounds that ids were born in; of an example that of its snapshot."""
    return sorted({int(match[1]) for one in ids if one and (match := _ROUND.match(one))})
