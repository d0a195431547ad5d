"""Guests of a loop: checkpoints that it did not train and that judge or write in its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl

from flows.round import Round, lake_path
from schemas.identity import guest_id
from tasks.checkpoint import weights_hash
from warehouse.loops import Checkpoint
from warehouse.query import read


def registered(round_: Round[Any], folder: Path, role: Literal["judge", "teacher"]) -> Checkpoint:
    """A guest as a checkpoint of the loop: on record since it was first asked in this role."""
    found = weights_hash(folder)
    known = read(round_.lake, "checkpoints", {"loop": round_.loop})
    known = known.filter((pl.col("role") == role) & (pl.col("content_hash") == found))
    if known.is_empty():
        row = {
            "checkpoint_id": guest_id(round_.number, round_.loop, role, found),
            "content_hash": found,
            "role": role,
            "path": lake_path(folder, round_.lake),
        }
        unit = round_.unit(f"{role}-checkpoint")
        known = round_.log.once(unit, "checkpoints", lambda: pl.DataFrame([row]))
    return Checkpoint(str(known["checkpoint_id"][0]), folder, found)
