"""Facts against facts: ids follow from their rows, snapshots hash to their names, nothing hangs in the air.

Rows are streamed and joins run in DuckDB, which spills to the disk, so memory does not grow with the lake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.columns import TEXTS, Column, Table
from schemas.errors import RatchetError
from schemas.identity import IDENTITIES
from schemas.tables import TABLES
from warehouse.lake import Lake
from warehouse.reader import Reader, reader
from warehouse.snapshot import example_ids, read_snapshot
from warehouse.verify.findings import Findings

Begin = Callable[[str], Callable[[int], None]]


@dataclass(frozen=True)
class Link:
    """A column whose values, or lists of values, are ids in one of the columns that it points to."""

    table: Table
    column: Column

    @property
    def sql(self) -> str:
        """Rows that name a parent the lake does not hold: how many, and one of them."""
        name = self.column.name
        values = f"unnest({name})" if self.column.type == TEXTS else name
        targets = (one.split(".") for one in self.column.to)
        ids = " UNION ALL ".join(f"SELECT loop, {key} AS id FROM {table}" for table, key in targets)
        return f"""
            SELECT count(*) AS n, min(child.id) AS example, min(child.named) AS missing
            FROM (SELECT loop, {self.table.id} AS id, {values} AS named FROM {self.table.name}) AS child
            WHERE child.named IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM ({ids}) AS p WHERE p.loop = child.loop AND p.id = child.named)"""


LINKS = tuple(Link(table, column) for table in TABLES.values() for column in table.own if column.to)

PARENTS = {"candidate_id": "candidates", "rejected_id": "candidates", "preference_id": "preferences"}
"""What an example of a snapshot is drawn from: column to table."""


def check_facts(lake: Lake, findings: Findings, begin: Begin) -> None:
    """Every id, every link from row to row, every snapshot and what was trained on it."""
    with reader(lake) as source:
        for table in TABLES:
            _check_ids(source, table, findings, begin(f"ids of {table}"))
        advance = begin("links")
        for link in LINKS:
            _check_link(source, link, findings)
            advance(1)
        _check_snapshots(lake, source, findings, begin("snapshots"))
        _check_steps(source, findings)


def _check_ids(source: Reader, table: str, findings: Findings, advance: Callable[[int], None]) -> None:
    """Ids are distinct, and those that follow from their row do."""
    key = TABLES[table].id
    twice = f"SELECT {key} AS id, count(*) AS n FROM {table} GROUP BY 1 HAVING n > 1 ORDER BY 1 LIMIT 1"
    for row in source.rows(twice):
        findings.damage(f"tables/{table}", f"{key} {row['id']} stands {row['n']} times")
    formula = IDENTITIES.get(table)
    if formula is None:
        return
    columns = ", ".join((key, *formula.columns))
    for batch in source.batches(f"SELECT {columns} FROM {table}"):
        for row_id, *values in zip(
            *(batch.column(i).to_pylist() for i in range(batch.num_columns)), strict=True
        ):
            if formula.of(*values) != row_id:
                findings.damage(f"tables/{table}", f"{key} {row_id} does not follow from its row")
                break
        advance(batch.num_rows)


def _check_link(source: Reader, link: Link, findings: Findings) -> None:
    (row,) = source.rows(link.sql)
    if row["n"]:
        holders = " or ".join(one.split(".")[0] for one in link.column.to)
        findings.damage(
            f"tables/{link.table.name}",
            f"{row['n']} rows, {row['example']} among them, name a {link.column.name} "
            f"that {holders} does not hold: {row['missing']}",
        )


def _check_snapshots(lake: Lake, source: Reader, findings: Findings, advance: Callable[[int], None]) -> None:
    """Snapshots hash to their ids, and their examples were candidates, or pairs of them that were judged."""
    for row in source.rows("SELECT * FROM snapshots ORDER BY snapshot_id"):
        try:
            examples = read_snapshot(lake.place(row["path"]), row["snapshot_id"])
        except RatchetError as error:
            findings.damage(row["path"], str(error))
            continue
        if examples.height != row["rows"]:
            findings.damage(row["path"], f"holds {examples.height} examples, the log says {row['rows']}")
        if examples["example_id"].to_list() != example_ids(examples):
            findings.damage(row["path"], "an example_id does not follow from its candidates")
        advance(examples.height)
    for column, table in PARENTS.items():
        for row in source.rows(_strays(column, table)):
            problem = f"{row['n']} examples come from no {table.removesuffix('s')} of the log"
            findings.damage(f"snapshots/{row['snapshot_id']}", problem)


def _strays(column: str, table: str) -> str:
    return f"""
        SELECT snapshot_id, count(*) AS n FROM examples AS e
        WHERE e.{column} IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM {table} AS t WHERE t.{TABLES[table].id} = e.{column})
        GROUP BY 1 ORDER BY 1"""


def _check_steps(source: Reader, findings: Findings) -> None:
    """Every example of an optimizer step is in the snapshot of its training."""
    sql = """
        WITH fed AS (SELECT training_id, unnest(example_ids) AS example_id FROM steps),
             job AS (SELECT DISTINCT training_id, snapshot_id FROM trainings)
        SELECT fed.training_id, count(*) AS n FROM fed JOIN job USING (training_id)
        WHERE NOT EXISTS (
            SELECT 1 FROM examples AS e
            WHERE e.snapshot_id = job.snapshot_id AND e.example_id = fed.example_id)
        GROUP BY 1 ORDER BY 1"""
    for row in source.rows(sql):
        what = f"{row['n']} examples of {row['training_id']} are not in its snapshot"
        findings.damage("tables/steps", what)
