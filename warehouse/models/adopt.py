"""Copying into a lake the models that it names by a path outside: those of older lakes, which had no copies,
and those kept by reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from schemas.errors import ModelError
from warehouse.lake import Lake
from warehouse.models.kept import Advance, find_copy, keep, size_of
from warehouse.models.location import agrees, find_model, is_trained_here, missing_line
from warehouse.query import read


@dataclass
class Adopted:
    """The checkpoints whose models were copied, the bytes, and a line for each model that was not."""

    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    bytes: int = 0


def adopt(lake: Lake, *, dry_run: bool = False, advance: Advance = lambda _: None) -> Adopted:
    """Copy every model that the lake names and lacks, from its recorded folder or another with its hashes.

    `advance` is told of bytes copied. With `dry_run` nothing changes and the result says what would.
    """
    report = Adopted()
    for row in models_outside(lake):
        hashes = row["content_hash"], row["files_hash"]
        source = find_model(lake.root / row["path"], *hashes)
        if source is None or not agrees(source, *hashes):
            report.missing.append(
                missing_line(f"{row['checkpoint_id']} of loop {row['loop']}", hashes[0], row["path"])
            )
            continue
        size = size_of(source)
        if not dry_run:
            try:
                keep(lake, source, *hashes, advance=advance)
            except ModelError as error:  # changed since it was hashed
                report.missing.append(f"{row['checkpoint_id']} of loop {row['loop']}: {error}")
                continue
        report.taken.append(row["checkpoint_id"])
        report.bytes += size
    return report


def models_outside(lake: Lake) -> list[dict[str, Any]]:
    """The first checkpoint row of each model whose files the lake does not hold."""
    rows = read(lake, "checkpoints").filter(
        pl.col("training_id").is_null() & ~pl.col("path").str.contains("://", literal=True)
    )
    rows = rows.unique(["content_hash", "files_hash"], keep="first", maintain_order=True)
    return [row for row in rows.to_dicts() if _lacks(lake, row)]


def _lacks(lake: Lake, row: dict[str, Any]) -> bool:
    return (
        not is_trained_here(row["path"]) and find_copy(lake, row["content_hash"], row["files_hash"]) is None
    )
