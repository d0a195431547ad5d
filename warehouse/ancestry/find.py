"""Which rows an id, or a prefix of one that no other id shares, names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.descent import EXAMPLES, KEYS, KINDS
from schemas.errors import BadInput, NotFound
from schemas.ids import kind_of
from schemas.tables import TABLES
from warehouse.lake import Lake
from warehouse.query import connect, snapshot_files
from warehouse.relations import relation, relation_examples
from warehouse.store.trouble import disk_errors

_PREFIX = re.compile(r"(?P<kind>[a-z]+)-(?P<round>[0-9]{1,9})(?P<rest>-[0-9a-f]*)?")
SHOWN = 3  # ids that a line about an ambiguous prefix names


@dataclass(frozen=True)
class Found:
    """The rows that an id names, as (table, key in the graph), and the loop and round that they are of.

    `table` is that of the first: an answer that has a rollout is two rows by one id.
    """

    id: str
    rows: tuple[tuple[str, str], ...]
    loop: str
    round: int

    @property
    def table(self) -> str:
        """The table of the row that the id is of."""
        return self.rows[0][0]


def find(lake: Lake, text: str) -> Found:
    """What a whole id or a prefix names; BadInput where that is no id or several, NotFound where the lake
    has none.

    A prefix has the kind and the round's five digits at least where it is to be found fast.
    """
    match = _PREFIX.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        kinds = ", ".join(KINDS)
        raise BadInput(f"{text!r} begins no id: an id is <kind>-<round>-<24 hex digits>, of kind {kinds}")
    rows = [row for table, column in KINDS[match["kind"]] for row in _rows(lake, table, column, text, match)]
    ids = sorted({row[0] for row in rows})
    if not ids:
        raise NotFound(f"the lake at {lake.where} holds no {text}{'' if kind_of(text) else '...'}")
    if len(ids) > 1:
        some = ", ".join(ids[:SHOWN])
        raise BadInput(
            f"{text} begins several ids, {some}{' ...' if len(ids) > SHOWN else ''}: give more of it"
        )
    own = ids[0] if ids[0] in rows[0][2] else rows[0][2]  # a training's states are one row
    return Found(own, tuple(dict.fromkeys((row[1], row[2]) for row in rows)), *rows[0][3:])


def _rows(
    lake: Lake, table: str, column: str, text: str, match: re.Match[str]
) -> list[tuple[str, str, str, str, int]]:
    """Rows whose column begins with a text: id, table, key, loop and round."""
    with disk_errors(f"the lake at {lake.where} cannot be asked"), connect() as connection:
        rows = _relation(lake, table, column, text, match)
        sql = (
            f"SELECT DISTINCT {column}, '{table}', {KEYS[table]}, loop, round FROM ({rows}) "
            f"WHERE {column} >= $text AND starts_with({column}, $text) ORDER BY ALL LIMIT 100"
        )
        return connection.execute(sql, {"text": text}).fetchall()


def _relation(lake: Lake, table: str, column: str, text: str, match: re.Match[str]) -> str:
    """The rows among which an id has to be: those of its round, and by statistics where the id is whole."""
    scope: dict[str, str | int | list[str] | list[int]] = {}
    if table == EXAMPLES:
        snapshots = relation(TABLES["snapshots"], lake.sources("snapshots"))
        examples = relation_examples(snapshot_files(lake, None))
        return (
            f"SELECT s.loop, s.round, e.* FROM ({examples}) AS e JOIN ({snapshots}) AS s USING (snapshot_id)"
        )
    if match["rest"] is not None:
        scope["round"] = int(match["round"])
    if kind_of(text) is not None and column in TABLES[table].statistics:
        scope[column] = text
    return relation(TABLES[table], lake.sources(table, scope))
