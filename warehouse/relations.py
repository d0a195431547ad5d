"""What a table's files are to DuckDB: one typed SELECT over a list of Parquet files."""

from __future__ import annotations

from schemas.columns import Table
from warehouse.lake import Sources

EXAMPLES = "examples"  # the frozen training sets: not a table of the log, read from the snapshots
EXAMPLE_COLUMNS = {
    "snapshot_id": "VARCHAR",
    "example_id": "VARCHAR",
    "candidate_id": "VARCHAR",
    "prompt_id": "VARCHAR",
    "kind": "VARCHAR",
    "checkpoint_id": "VARCHAR",
    "written_in": "BIGINT",
    **dict.fromkeys(("prompt", "response", "chosen", "rejected", "messages"), "VARCHAR"),
    **dict.fromkeys(("rejected_id", "preference_id", "rejected_checkpoint_id"), "VARCHAR"),
    "rejected_written_in": "BIGINT",
}


def relation(table: Table, sources: Sources) -> str:
    """A SELECT of all columns of a table, typed, from its files; of no rows where there are none.

    Only files that differ in their columns are opened one by one to unite them.
    """
    typed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in table.sql.items())
    if not sources.paths:
        return f"SELECT * FROM (SELECT {typed} WHERE false)"
    names = ", ".join(f'"{name}"' for name in table.sql)
    listed = ", ".join(quoted(path) for path in sources.paths)
    source = (
        f"read_parquet([{listed}], union_by_name={str(sources.mixed).lower()}, hive_partitioning=true, "
        "hive_types={'loop': VARCHAR, 'round': BIGINT})"
    )
    return f"SELECT {names} FROM (SELECT {typed} WHERE false UNION ALL BY NAME SELECT * FROM {source})"


def relation_examples(files: list[str]) -> str:
    """The rows of frozen training sets, with the snapshot each lies in."""
    typed = ", ".join(f"NULL::{kind} AS {name}" for name, kind in EXAMPLE_COLUMNS.items())
    if not files:
        return f"SELECT {typed} WHERE false"
    listed = ", ".join(quoted(file) for file in files)
    return (
        f"SELECT {typed} WHERE false UNION ALL BY NAME "
        "SELECT split_part(filename, '/', -2) AS snapshot_id, * EXCLUDE (filename) "
        f"FROM read_parquet([{listed}], union_by_name=true, filename=true)"
    )


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
