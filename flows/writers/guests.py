"""Guests of a loop: checkpoints that it did not train and that judge or write in its rounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import polars as pl

from flows.round.round import Round
from flows.writers.keeping import kept_path
from schemas.engine import Endpoint
from schemas.errors import ModelError
from schemas.identity import guest_id
from schemas.job import Strict
from tasks.models.checkpoint import weights_hash
from tasks.models.recorded import check_weights
from warehouse.lake import Lake
from warehouse.loops import Checkpoint, checkpoint
from warehouse.models.described import files_hash
from warehouse.models.kept import find_copy
from warehouse.query import read

Role = Literal["judge", "teacher", "reward"]
V = TypeVar("V", bound=Strict)


def guest(
    round_: Round[Any], folder: Path, role: Role, comes_from: Mapping[str, str] = MappingProxyType({})
) -> Checkpoint:
    """The model in a folder as a checkpoint of the loop: the weights that lie there now, or those of before
    where the folder is gone and the lake has them. It is used from the lake's copy, where there is one.
    `comes_from` stands in its origin too.
    """
    lake = round_.lake
    there = folder_here(lake, round_.loop, folder)
    weights, others = weights_hash(there), files_hash(there)
    origin = json.dumps({"folder": str(folder.resolve()), "named": str(folder), **comes_from})
    known = not _known(round_, role, weights, others).is_empty()
    path = str(folder) if known else kept_path(lake, there, weights, others, round_.recipe.model_files)
    row = registered(round_, role, weights, path, origin, others)
    own = find_copy(lake, row.content_hash, row.files_hash)
    own_copy = Checkpoint(row.id, there if own is None else row.folder, weights, row.files_hash, role)
    if own_copy.folder.resolve() != there.resolve():  # what lies there was hashed above
        check_weights(own_copy)
    return own_copy


def folder_here(lake: Lake, loop: str, folder: Path) -> Path:
    """The folder that a recipe names, where it is there; else that of the loop's newest guest so named."""
    if folder.is_dir():
        return folder
    names = {str(folder), str(folder.resolve())}
    rows = read(lake, "checkpoints", {"loop": loop}).filter(
        (pl.col("role") != "policy") & pl.col("training_id").is_null()
    )
    for row in rows.sort("round", "recorded_at", descending=True).to_dicts():
        if names & {row["path"], *_origin(row["origin"])}:
            return checkpoint(lake, row).folder
    return folder


def with_models_here(values: V, lake: Lake, loop: str) -> V:
    """A recipe, or a part of it, with the folders in which its models lie on this machine: for checks and
    reading, not for the record.
    """
    update: dict[str, Any] = {}
    for name in type(values).model_fields:
        value = getattr(values, name)
        if name == "model" and isinstance(value, str) and not isinstance(values, Endpoint):
            update[name] = str(folder_here(lake, loop, Path(value)))
        elif isinstance(value, Strict):
            update[name] = with_models_here(value, lake, loop)
    return values.model_copy(update=update)


def _origin(text: str | None) -> Iterator[str]:
    """The folder and the name in a guest's origin."""
    values = json.loads(text) if text else {}
    yield from (values[key] for key in ("folder", "named") if key in values)


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
    earlier = _known(round_, role, content_hash, files)
    if earlier.is_empty():
        row = {
            "checkpoint_id": guest_id(round_.number, round_.loop, role, content_hash, files),
            "content_hash": content_hash,
            "role": role,
            "path": path,
            "origin": origin,
            "files_hash": files,
        }
        rows = pl.DataFrame([row], schema_overrides={"origin": pl.String, "files_hash": pl.String})
        earlier = round_.log.once(round_.unit(f"{role}-checkpoint"), "checkpoints", lambda: rows)
    result = checkpoint(round_.lake, earlier.row(0, named=True))
    if result.content_hash != content_hash:
        raise ModelError(
            f"{path} holds other weights than the {role} that round {round_.number} began with "
            f"({content_hash[:12]}, not {result.content_hash[:12]})"
        )
    if result.files_hash not in (None, files):
        raise ModelError(
            f"{path} has another configuration, tokenizer or chat template than the {role} that round "
            f"{round_.number} began with"
        )
    return result


def _known(round_: Round[Any], role: Role, content_hash: str, files: str | None) -> pl.DataFrame:
    """The loop's guests of a role with these hashes."""
    same = pl.col("files_hash").is_null() | (pl.col("files_hash") == pl.lit(files, pl.String))
    rows = read(round_.lake, "checkpoints", {"loop": round_.loop})
    return rows.filter((pl.col("role") == role) & (pl.col("content_hash") == content_hash) & same)
