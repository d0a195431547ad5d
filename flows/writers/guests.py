"""Guests of a loop: checkpoints that it did not train and that judge or write in its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl

from flows.round.round import Round, lake_path
from schemas.errors import ModelError
from schemas.identity import guest_id
from tasks.models.checkpoint import weights_hash
from warehouse.loops import Checkpoint, checkpoint
from warehouse.query import read

Role = Literal["judge", "teacher"]


def guest(round_: Round[Any], folder: Path, role: Role) -> Checkpoint:
    """The model in a folder as a checkpoint of the loop: the weights that lie there now."""
    found = weights_hash(folder)
    row = registered(round_, role, found, lake_path(folder, round_.lake))
    return Checkpoint(row.id, folder, found)


def registered(
    round_: Round[Any], role: Role, content_hash: str, path: str, origin: str | None = None
) -> Checkpoint:
    """A guest as a checkpoint of the loop: on record since it was first asked in this role.

    ModelError where this round has begun with another one.
    """
    known = read(round_.lake, "checkpoints", {"loop": round_.loop})
    known = known.filter((pl.col("role") == role) & (pl.col("content_hash") == content_hash))
    if known.is_empty():
        row = {
            "checkpoint_id": guest_id(round_.number, round_.loop, role, content_hash),
            "content_hash": content_hash,
            "role": role,
            "path": path,
            "origin": origin,
        }
        rows = pl.DataFrame([row], schema_overrides={"origin": pl.String})
        known = round_.log.once(round_.unit(f"{role}-checkpoint"), "checkpoints", lambda: rows)
    found = checkpoint(round_.lake, known.row(0, named=True))
    if found.content_hash != content_hash:
        raise ModelError(
            f"{path} holds other weights than the {role} that round {round_.number} began with "
            f"({content_hash[:12]}, not {found.content_hash[:12]})"
        )
    return found
