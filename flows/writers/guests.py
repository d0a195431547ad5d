"""Guests of a loop: checkpoints that it did not train and that judge or write in its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl

from flows.round.round import Round, lake_path
from schemas.errors import ModelError
from schemas.identity import guest_id
from tasks.models.checkpoint import weights_hash
from tasks.models.described import files_hash
from warehouse.loops import Checkpoint, checkpoint
from warehouse.query import read

Role = Literal["judge", "teacher"]


def guest(round_: Round[Any], folder: Path, role: Role) -> Checkpoint:
    """The model in a folder as a checkpoint of the loop: the weights that lie there now."""
    found, others = weights_hash(folder), files_hash(folder)
    row = registered(round_, role, found, lake_path(folder, round_.lake), files=others)
    return Checkpoint(row.id, folder, found, row.files_hash)


def registered(
    round_: Round[Any],
    role: Role,
    content_hash: str,
    path: str,
    origin: str | None = None,
    files: str | None = None,
) -> Checkpoint:
    """A guest as a checkpoint of the loop: on record since it was first asked in this role.

    `files` is the hash of what beside its weights decides what it computes. ModelError where this round has
    begun with another one.
    """
    same = pl.col("files_hash").is_null() | (pl.col("files_hash") == pl.lit(files, pl.String))
    known = read(round_.lake, "checkpoints", {"loop": round_.loop})
    known = known.filter((pl.col("role") == role) & (pl.col("content_hash") == content_hash) & same)
    if known.is_empty():
        row = {
            "checkpoint_id": guest_id(round_.number, round_.loop, role, content_hash, files),
            "content_hash": content_hash,
            "role": role,
            "path": path,
            "origin": origin,
            "files_hash": files,
        }
        rows = pl.DataFrame([row], schema_overrides={"origin": pl.String, "files_hash": pl.String})
        known = round_.log.once(round_.unit(f"{role}-checkpoint"), "checkpoints", lambda: rows)
    found = checkpoint(round_.lake, known.row(0, named=True))
    if found.content_hash != content_hash:
        raise ModelError(
            f"{path} holds other weights than the {role} that round {round_.number} began with "
            f"({content_hash[:12]}, not {found.content_hash[:12]})"
        )
    if found.files_hash not in (None, files):
        raise ModelError(
            f"{path} has another configuration, tokenizer or chat template than the {role} that round "
            f"{round_.number} began with"
        )
    return found
