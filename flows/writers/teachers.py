"""Who teaches in a loop: a model's folder, what is behind the engine's endpoint, or another loop's champion.

A teacher is a guest of the loop, on record with the hash of its weights. Where it is another loop's
checkpoint its origin names loop, lake and checkpoint, so that the story goes on there; a loop keeps the
champion that it first had for its teacher, until `checkpoint` names another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

import tutor
from flows.round.round import Round
from flows.writers.engines import teacher as behind_endpoint
from flows.writers.guests import guest
from schemas.engine import Endpoint
from schemas.errors import BadInput
from schemas.recipes.shared import Recipe
from schemas.recipes.teaching import TeacherModel
from tasks.models.checkpoint import check_readable
from warehouse.lake import Lake
from warehouse.loops import Checkpoint, checkpoint, find_checkpoint, fold
from warehouse.query import read


def teacher_of(round_: Round[Any]) -> Checkpoint:
    """The round's teacher, on record; BadInput where there is none."""
    teaching: TeacherModel = round_.recipe.teacher
    if teaching.loop is not None:
        return _known(round_, teaching) or _champion(round_, teaching)
    elsewhere = behind_endpoint(round_) if teaching.model is None else None
    return elsewhere or guest(round_, teacher_folder(teaching), "teacher")


def teacher_folder(teaching: TeacherModel) -> Path:
    """The folder of a teacher that is no loop's; BadInput where the tutor's is meant and was not built."""
    if teaching.model is not None:
        return Path(teaching.model)
    if not (tutor.TEACHER / "config.json").is_file():
        raise BadInput(
            "the tutor's teacher is not built: `make teacher` builds it in minutes, or give "
            "--set teacher.model=FOLDER"
        )
    return tutor.TEACHER


def check_teacher(recipe: Recipe) -> None:
    """Refuse a teacher that cannot be read, by one line; another loop's is looked for in its round."""
    teaching: TeacherModel = recipe.teacher  # type: ignore[attr-defined]
    if teaching.loop is not None:
        if teaching.lake is not None:
            _of(Lake(teaching.lake), teaching)
        return
    if not (isinstance(recipe.engine, Endpoint) and teaching.model is None):
        check_readable(teacher_folder(teaching))


def _champion(round_: Round[Any], teaching: TeacherModel) -> Checkpoint:
    """Another loop's checkpoint as a guest of this one, with its place there on record."""
    lake = round_.lake if teaching.lake is None else Lake(teaching.lake)
    theirs = _of(lake, teaching)
    place = {"loop": str(teaching.loop), "lake": lake.where, "checkpoint": theirs.id}
    return guest(round_, theirs.folder, "teacher", place)


def _of(lake: Lake, teaching: TeacherModel) -> Checkpoint:
    """The checkpoint of another loop that teaches; BadInput where there is no such loop."""
    assert teaching.loop is not None
    state = fold(lake, teaching.loop)
    if state is None:
        raise BadInput(f"the lake at {lake.where} has no loop {teaching.loop} whose champion could teach")
    if teaching.checkpoint is None:
        return state.champion
    return find_checkpoint(lake, teaching.loop, teaching.checkpoint)


def _known(round_: Round[Any], teaching: TeacherModel) -> Checkpoint | None:
    """The teacher that this loop has had from that loop before: the newest, or the one that is named."""
    rows = read(round_.lake, "checkpoints", {"loop": round_.loop}).filter(pl.col("role") == "teacher")
    for row in rows.sort("round", "recorded_at", descending=True).to_dicts():
        origin = json.loads(row["origin"] or "{}")
        named = teaching.checkpoint in (None, origin.get("checkpoint"))
        if named and origin.get("loop") == teaching.loop:
            return checkpoint(round_.lake, row)
    return None
