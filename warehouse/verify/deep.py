"""Facts against facts: ids follow from their rows, snapshots hash to their names, nothing hangs in the air.

Rows are streamed and joins run in DuckDB, which spills to the disk, so memory does not grow with the lake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.errors import RatchetError
from schemas.identity import IDENTITIES
from schemas.tables import TABLES, TEXTS
from warehouse.lake import Lake
from warehouse.query import query, read, stream
from warehouse.snapshot import example_ids, read_snapshot
from warehouse.verify.findings import Findings

Begin = Callable[[str], Callable[[int], None]]


@dataclass(frozen=True)
class Reference:
    """A column whose values, or lists of values, are ids of another table (or of one of two) where there
    are any.
    """

    table: str
    column: str
    parent: str
    parent_column: str
    other: str | None = None

    @property
    def sql(self) -> str:
        """Rows that name a parent the lake does not hold: how many, and one of them."""
        table, one = TABLES[self.table], self.column
        listed = any(column.name == one and column.type == TEXTS for column in table.columns)
        values = f"unnest({one})" if listed else one
        known = f"SELECT loop, {self.parent_column} AS id FROM {self.parent}"
        if self.other is not None:
            known += f" UNION ALL SELECT loop, {TABLES[self.other].id} FROM {self.other}"
        return f"""
            SELECT count(*) AS n, min(child.id) AS example, min(child.named) AS missing
            FROM (SELECT loop, {table.id} AS id, {values} AS named FROM {self.table}) AS child
            WHERE child.named IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM ({known}) AS p WHERE p.loop = child.loop AND p.id = child.named)"""


REFERENCES = (
    Reference("prompts", "parents", "prompts", "prompt_id"),
    Reference("candidates", "prompt_id", "prompts", "prompt_id"),
    Reference("candidates", "checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("requests", "prompt_id", "prompts", "prompt_id"),
    Reference("requests", "checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("tokens", "candidate_id", "candidates", "candidate_id"),
    Reference("scores", "candidate_id", "candidates", "candidate_id"),
    Reference("scores", "prompt_id", "prompts", "prompt_id"),
    Reference("scores", "judge_checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("critiques", "candidate_id", "candidates", "candidate_id"),
    Reference("preferences", "prompt_id", "prompts", "prompt_id"),
    Reference("preferences", "chosen_id", "candidates", "candidate_id"),
    Reference("preferences", "rejected_id", "candidates", "candidate_id"),
    Reference("preferences", "judge_checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("decisions", "candidate_id", "candidates", "candidate_id"),
    Reference("decisions", "prompt_id", "prompts", "prompt_id"),
    Reference("decisions", "duplicate_of", "candidates", "candidate_id", other="prompts"),
    Reference("trainings", "snapshot_id", "snapshots", "snapshot_id"),
    Reference("trainings", "base_checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("steps", "training_id", "trainings", "training_id"),
    Reference("checkpoints", "training_id", "trainings", "training_id"),
    Reference("checkpoints", "parent_id", "checkpoints", "checkpoint_id"),
    Reference("evaluations", "checkpoint_id", "checkpoints", "checkpoint_id"),
    Reference("rounds", "champion_in", "checkpoints", "checkpoint_id"),
    Reference("rounds", "challenger", "checkpoints", "checkpoint_id"),
    Reference("rounds", "champion_out", "checkpoints", "checkpoint_id"),
)

PARENTS = {"candidate_id": "candidates", "rejected_id": "candidates", "preference_id": "preferences"}
"""What an example of a snapshot is drawn from: column to table."""


def check_facts(lake: Lake, findings: Findings, begin: Begin) -> None:
    """Every id, every reference from row to row, every snapshot and what was trained on it."""
    for table in TABLES:
        _check_ids(lake, table, findings, begin(f"ids of {table}"))
    advance = begin("references")
    for reference in REFERENCES:
        _check_reference(lake, reference, findings)
        advance(1)
    _check_snapshots(lake, findings, begin("snapshots"))
    _check_steps(lake, findings)


def _check_ids(lake: Lake, table: str, findings: Findings, advance: Callable[[int], None]) -> None:
    """Ids are distinct, and those that follow from their row do."""
    key = TABLES[table].id
    twice = f"SELECT {key} AS id, count(*) AS n FROM {table} GROUP BY 1 HAVING n > 1 ORDER BY 1 LIMIT 1"
    for row in query(lake, twice).to_dicts():
        findings.damage(f"tables/{table}", f"{key} {row['id']} stands {row['n']} times")
    formula = IDENTITIES.get(table)
    if formula is None:
        return
    columns = ", ".join((key, *formula.columns))
    for batch in stream(lake, f"SELECT {columns} FROM {table}"):
        for told, *values in zip(
            *(batch.column(i).to_pylist() for i in range(batch.num_columns)), strict=True
        ):
            if formula.of(*values) != told:
                findings.damage(f"tables/{table}", f"{key} {told} does not follow from its row")
                break
        advance(batch.num_rows)


def _check_reference(lake: Lake, reference: Reference, findings: Findings) -> None:
    row = query(lake, reference.sql).row(0, named=True)
    if row["n"]:
        findings.damage(
            f"tables/{reference.table}",
            f"{row['n']} rows, {row['example']} among them, name a {reference.column} "
            f"that {reference.parent} does not hold: {row['missing']}",
        )


def _check_snapshots(lake: Lake, findings: Findings, advance: Callable[[int], None]) -> None:
    """Snapshots hash to their ids, and their examples were candidates, or pairs of them that were judged."""
    for row in read(lake, "snapshots").sort("snapshot_id").to_dicts():
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
        for row in query(lake, _strays(column, table)).to_dicts():
            found = f"{row['n']} examples come from no {table.removesuffix('s')} of the log"
            findings.damage(f"snapshots/{row['snapshot_id']}", found)


def _strays(column: str, table: str) -> str:
    return f"""
        SELECT snapshot_id, count(*) AS n FROM examples AS e
        WHERE e.{column} IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM {table} AS t WHERE t.{TABLES[table].id} = e.{column})
        GROUP BY 1 ORDER BY 1"""


def _check_steps(lake: Lake, findings: Findings) -> None:
    """What an optimizer step was fed was in the snapshot of its training."""
    sql = """
        WITH fed AS (SELECT training_id, unnest(example_ids) AS example_id FROM steps),
             job AS (SELECT DISTINCT training_id, snapshot_id FROM trainings)
        SELECT fed.training_id, count(*) AS n FROM fed JOIN job USING (training_id)
        WHERE NOT EXISTS (
            SELECT 1 FROM examples AS e
            WHERE e.snapshot_id = job.snapshot_id AND e.example_id = fed.example_id)
        GROUP BY 1 ORDER BY 1"""
    for row in query(lake, sql).to_dicts():
        what = f"{row['n']} examples of {row['training_id']} are not in its snapshot"
        findings.damage("tables/steps", what)
