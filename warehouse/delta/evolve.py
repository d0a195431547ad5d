"""Tables grow columns and never lose them: an older lake is widened, an older program is refused.

A column that is added later is nullable, so that the facts before it stay what they were.
"""

from __future__ import annotations

from contextlib import suppress

from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.columns import Table
from schemas.errors import LakeError, SchemaMismatch
from warehouse.delta.journal import describe
from warehouse.store.trouble import one_line

LATER = "ratchet.later"  # marks a column that older files lack


def was_widened(delta: DeltaTable) -> bool:
    """Whether a column was added after files had been written."""
    return any(LATER in (field.metadata or {}) for field in delta.schema().fields)


def fitted(delta: DeltaTable, table: Table) -> bool:
    """Whether an open table has exactly our columns. One that lacks some is widened: open it again.

    SchemaMismatch where it has a column that this program does not know, or lacks one that is not nullable.
    """
    names = {field.name for field in delta.schema().fields}
    unknown = sorted(names - set(table.arrow.names))
    if unknown:
        raise SchemaMismatch(
            f"table {table.name} has column {unknown[0]!r}, which this Ratchet does not know: "
            "a newer one wrote it; upgrade before appending"
        )
    missing = [column for column in table.columns if column.name not in names]
    if not missing:
        return True
    if not all(column.nullable for column in missing):
        column_name = next(column.name for column in missing if not column.nullable)
        raise SchemaMismatch(f"table {table.name} lacks column {column_name!r}, which no fact may lack")
    fields = {field.name: field for field in Schema.from_arrow(table.arrow).fields}
    added = [fields[column.name] for column in missing]
    _widen(delta, [Field(f.name, f.type, nullable=True, metadata={LATER: "true"}) for f in added])
    return False


def _widen(delta: DeltaTable, fields: list[Field]) -> None:
    metadata = describe({"widened": [field.name for field in fields]})
    try:
        with suppress(CommitFailedError):  # another writer may widen it first
            properties = CommitProperties(custom_metadata={"ratchet": metadata})
            delta.alter.add_columns(fields, commit_properties=properties)
    except (DeltaError, OSError) as error:
        raise LakeError(f"columns could not be added to {delta.table_uri}: {one_line(error)}") from None
