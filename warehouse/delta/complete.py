"""What a step computed, made whole: shared columns added, every column typed, nothing missing or doubled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from schemas.columns import Table
from schemas.errors import UnitConflict
from schemas.units import Unit


def complete(kind: Table, units: Sequence[Unit], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of units of one loop and round as rows of the table, in the units' order.

    UnitConflict where a unit has no rows given, a column is unknown, does not cast, lacks a value that no
    fact may lack, or an id stands twice.
    """
    if len(frames) != len(units):
        raise UnitConflict(f"table {kind.name}: {len(frames)} frames were computed for {len(units)} units")
    for unit, rows in zip(units, frames, strict=True):
        unknown = set(rows.columns) - set(kind.own_polars)
        if unknown:
            raise UnitConflict(f"unit {unit.key}: table {kind.name} has no column {min(unknown)!r}")
    try:
        frame = _typed(kind, units, frames)
    except pl.exceptions.PolarsError as error:
        line = " ".join(str(error).split())[:300]
        raise UnitConflict(f"unit {units[0].key}, table {kind.name}: {line}") from None
    _check(kind, frame)
    return frame


def _typed(kind: Table, units: Sequence[Unit], frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All rows in one frame with the table's columns and types."""
    alike = all(rows.columns == frames[0].columns for rows in frames)
    frame = pl.concat(frames, how="vertical_relaxed" if alike else "diagonal_relaxed")
    keys = [
        pl.Series([unit.key]).new_from_index(0, rows.height) for unit, rows in zip(units, frames, strict=True)
    ]
    shared: dict[str, pl.Expr] = {
        "loop": pl.lit(units[0].loop),
        "round": pl.lit(units[0].round, pl.Int64),
        "unit": pl.lit(pl.concat(keys)),
        "recorded_at": pl.lit(datetime.now(UTC)),
    }
    absent = {name: pl.lit(None) for name in kind.own_polars if name not in frame.columns}
    present = {name: pl.col(name) for name in frame.columns}
    columns = shared | present | absent
    return frame.select(columns[name].cast(type_).alias(name) for name, type_ in kind.polars.items())


def _check(kind: Table, frame: pl.DataFrame) -> None:
    for column in kind.columns:
        if not column.nullable and frame[column.name].null_count():
            unit = frame.filter(pl.col(column.name).is_null())["unit"][0]
            raise UnitConflict(f"unit {unit}: {kind.name}.{column.name} lacks a value")
    if frame[kind.id].n_unique() < frame.height:
        twice = frame.filter(pl.col(kind.id).is_duplicated()).row(0, named=True)
        raise UnitConflict(f"unit {twice['unit']}: {kind.id} {twice[kind.id]} stands twice")
