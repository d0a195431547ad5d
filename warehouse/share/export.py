"""A training set for others: a snapshot as Parquet, JSONL or a `datasets` folder, with a card of its lineage.

The folder is made under another name beside its own, read back and held against the snapshot, synced, and
only then renamed. It is not part of the lake, and nothing of it is read by a round.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import polars as pl
import pyarrow.parquet as pq

from schemas.errors import BadInput, LakeError, NotFound, SnapshotMismatch
from schemas.ids import LOOP_NAME, kind_of
from warehouse.lake import Lake, Where
from warehouse.query import read
from warehouse.share.card import card
from warehouse.snapshot import ROW_GROUP, content_hash, read_snapshot
from warehouse.store.durable import sync

Format = Literal["parquet", "jsonl", "datasets"]
FILES: dict[Format, str] = {
    "parquet": "examples.parquet",
    "jsonl": "examples.jsonl",
    "datasets": "data/train-00000-of-00001.parquet",
}
PLACE = re.compile(rf"(?P<loop>{LOOP_NAME.pattern})(?:/(?P<round>\d{{1,9}}))?")
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
SLICE = 10_000  # rows held as Python values at a time


@dataclass(frozen=True)
class Exported:
    """What was written: `content_hash` is the snapshot's, and `whole` says that the rows hash to it."""

    folder: Path
    format: Format
    snapshot_id: str
    loop: str
    round: int
    rows: int
    content_hash: str
    whole: bool


def export(lake: Lake, what: str, to: Path, kind: Format, *, chat: bool = False) -> Exported:
    """Write the snapshot that `what` names (a snapshot, a checkpoint trained on it, LOOP or LOOP/ROUND).

    `to` must not exist, or be an empty folder; BadInput where it does not, NotFound where nothing of that
    name was frozen. With `chat`, which only JSONL has, a row is {"messages": [...]} and its ids. The messages
    of conversations are lists of {role, content} in JSONL and `datasets`, and JSON texts, as frozen, in
    Parquet.
    """
    if chat and kind != "jsonl":
        raise BadInput(f"--chat is for JSONL, not for {kind}")
    snapshot = find_snapshot(lake, what)
    examples = read_snapshot(lake.place(snapshot["path"]), snapshot["snapshot_id"])
    if chat and not {"prompt", "response"} <= set(examples.columns):
        raise BadInput(f"{snapshot['snapshot_id']} has no prompt and response to make a chat of")
    if to.resolve().is_relative_to(lake.root):
        raise BadInput(f"{to} lies in the lake: give a folder outside it")
    with _new_folder(to) as folder:
        file = folder / FILES[kind]
        file.parent.mkdir(exist_ok=True)
        _write(examples, file, kind, chat)
        if not chat and content_hash(_read(file, examples.schema)) != snapshot["content_hash"]:
            raise SnapshotMismatch(
                f"{file.name} does not read back as {snapshot['snapshot_id']}; nothing kept"
            )
        text = card(lake, snapshot, examples, FILES[kind], chat=chat)
        (folder / "README.md").write_bytes(text.encode("utf-8", "backslashreplace"))
    return Exported(
        to.absolute(),
        kind,
        snapshot["snapshot_id"],
        snapshot["loop"],
        snapshot["round"],
        examples.height,
        snapshot["content_hash"],
        not chat,
    )


def find_snapshot(lake: Lake, what: str) -> dict[str, Any]:
    """The row of table `snapshots` that a snapshot's or checkpoint's id, LOOP or LOOP/ROUND names."""
    kind, place = kind_of(what), PLACE.fullmatch(what)
    where: Where
    if kind == "snap":
        where = {"snapshot_id": what}
    elif kind == "ckpt":
        where = {"snapshot_id": _trained_on(lake, what)}
    elif place:
        where = {"loop": place["loop"]} | ({"round": int(place["round"])} if place["round"] else {})
    else:
        raise BadInput(f"{what!r} is no snapshot (snap-...), checkpoint (ckpt-...), LOOP or LOOP/ROUND")
    rows = read(lake, "snapshots", where).sort("round", "loop", descending=[kind is None, False])
    if rows.is_empty():
        raise NotFound(f"the lake at {lake.where} holds no training set of {what}")
    return rows.row(0, named=True)


def _trained_on(lake: Lake, checkpoint_id: str) -> str:
    rows = read(lake, "checkpoints", {"checkpoint_id": checkpoint_id})
    if rows.is_empty():
        raise NotFound(f"the lake at {lake.where} holds no {checkpoint_id}")
    training = rows["training_id"][0]
    if training is None:
        raise NotFound(
            f"{checkpoint_id} is a base: it was trained elsewhere, on nothing that this lake holds"
        )
    return str(read(lake, "trainings", {"training_id": training})["snapshot_id"][0])


@contextmanager
def _new_folder(to: Path) -> Iterator[Path]:
    """A folder that appears under its name when the block ends well, and not at all otherwise."""
    if ":/" in str(to):  # a path makes one slash of two
        raise BadInput(f"{to} is no folder of this machine")
    if not to.absolute().parent.is_dir():
        raise BadInput(f"{to} cannot be made: there is no folder {to.absolute().parent}")
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise BadInput(f"{to} is there already: nothing is written over, give another folder")
    folder = to.absolute().with_name(f".{to.absolute().name}.{uuid4().hex[:12]}")
    try:
        folder.mkdir()
        yield folder
        for path in sorted(folder.rglob("*"), reverse=True):
            sync(path)
        sync(folder)
        os.rename(folder, to)  # over an empty folder, and over nothing else
        sync(to.absolute().parent)
    except OSError as error:
        raise LakeError(f"{to} cannot be written: {error.strerror or error}; nothing was kept") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(examples: pl.DataFrame, file: Path, kind: Format, chat: bool) -> None:
    if file.suffix == ".parquet":
        if kind == "datasets" and "messages" in examples.columns:
            examples = examples.with_columns(pl.col("messages").str.json_decode(MESSAGES))
        pq.write_table(examples.to_arrow(), file, compression="zstd", row_group_size=ROW_GROUP)
        return
    with file.open("w", encoding="ascii", newline="\n") as out:
        for part in examples.iter_slices(SLICE):
            rows = [_with_messages(row) for row in part.to_dicts()]
            # ASCII alone: U+2028 and its like end a line for some readers of JSONL
            out.writelines(f"{json.dumps(_chat(row) if chat else row)}\n" for row in rows)


def _chat(row: dict[str, Any]) -> dict[str, Any]:
    prompt = row.get("messages") or [{"role": "user", "content": row["prompt"]}]
    messages = [*prompt, {"role": "assistant", "content": row["response"]}]
    return {"messages": messages} | {
        key: row[key] for key in row if key not in ("prompt", "response", "messages")
    }


def _with_messages(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose messages are a list; null for a prompt that is one text."""
    messages = row.get("messages")
    return row if messages is None else row | {"messages": json.loads(messages)}


def _read(file: Path, schema: pl.Schema) -> pl.DataFrame:
    """The rows as any reader finds them, messages as they were frozen: canonical JSON."""
    if file.suffix == ".parquet":
        rows = pl.read_parquet(file, glob=False)
        return rows if rows.schema == schema else _canonical(rows.to_dicts(), schema)
    with file.open("rb") as lines:
        return _canonical([json.loads(line) for line in lines], schema)


def _canonical(rows: list[dict[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    for row in rows:
        if row.get("messages") is not None:
            row["messages"] = json.dumps(row["messages"], ensure_ascii=False, separators=(",", ":"))
    return pl.DataFrame(rows, schema=schema)
