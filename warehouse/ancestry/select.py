"""The rows that a person means by what is no id: a source file, a verifier's version, a principle."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.descent import KEYS
from schemas.errors import BadInput, NotFound
from warehouse.ancestry.find import find
from warehouse.ancestry.walk import NODES
from warehouse.lake import Lake
from warehouse.query import query

_PLACE = ", (?:line|record) ([0-9]+)$"  # where people's choice stands in its file
MEANT: Mapping[str, tuple[tuple[str, str], ...]] = {
    "source": (
        ("prompts", "source = $name AND ($more IS NULL OR CAST(line AS VARCHAR) = $more)"),
        (
            "preferences",
            rf"regexp_replace(source, '{_PLACE}', '') = $name "
            rf"AND ($more IS NULL OR regexp_extract(source, '{_PLACE}', 1) = $more)",
        ),
    ),
    "verifier": (("scores", "verifier = $name AND ($more IS NULL OR verifier_version = $more)"),),
    "judge": (
        ("scores", "judge_checkpoint_id = $name"),
        ("preferences", "judge_checkpoint_id = $name"),
    ),
    "principle": (
        ("critiques", "principle = $name"),
        ("preferences", "principle = $name"),
    ),
}
"""What may be named by `key=name`, and the rows that are meant: table and condition. `source=FILE:LINE` and
`verifier=NAME:VERSION` say more.
"""
_MORE = ("source", "verifier")


def meant(lake: Lake, text: str) -> tuple[str, pl.DataFrame, list[str]]:
    """What a text names, its whole form; its rows as a start of one origin, `it`; the loops they are of.

    A text is an id, a beginning of one, or KEY=NAME as `MEANT` has them; BadInput and NotFound as `find`.
    """
    key, is_named, name = text.partition("=")
    if not is_named:
        found = find(lake, text)
        start = pl.DataFrame([("it", *row) for row in found.rows], schema=NODES, orient="row")
        return found.id, start, [found.loop]
    if key not in MEANT or not name:
        raise BadInput(f"{text!r} is neither an id nor one of {', '.join(f'{one}=...' for one in MEANT)}")
    if key == "judge":
        name = find(lake, name).id
    first, _, more = name.rpartition(":") if key in _MORE and ":" in name else (name, "", None)
    tried = [(name, None), (first, more)] if more is not None else [(name, None)]
    for one, rest in tried:  # a file's name, or the tutor's, may hold a colon itself
        rows = pl.concat([_rows(lake, table, condition, one, rest) for table, condition in MEANT[key]])
        if rows.height:
            return f"{key}={name}", rows.select(NODES.names()), rows["loop"].unique().sort().to_list()
    raise NotFound(f"the lake at {lake.where} holds nothing of {text}")


def _rows(lake: Lake, table: str, condition: str, name: str, more: str | None) -> pl.DataFrame:
    """A table's rows that meet a condition, as a start, with their loops."""
    sql = f"SELECT DISTINCT 'it' AS origin, '{table}' AS \"table\", {KEYS[table]} AS id, loop FROM {table}"
    values = {"name": name, "more": more}
    asked = {one: value for one, value in values.items() if f"${one}" in condition}
    return query(lake, f"{sql} WHERE {condition}", asked)
