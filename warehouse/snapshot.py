"""Snapshots: training sets frozen by content, owned row by row, written once.

A snapshot is a folder with `examples.parquet` and `manifest.json`, which comes last. Its id carries the
SHA-256 of its canonical rows, so it does not depend on how Parquet stored them, and one changed character
changes it.
Its rows are its own: it records the units it was drawn from, and outlives them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import RatchetError, SnapshotMismatch
from schemas.identity import example_id
from schemas.ids import HEX_DIGITS
from schemas.units import Unit
from warehouse.artifacts import listing
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors

ROW_GROUP = 32_768  # rows
SELECTIONS = Path(__file__).parent / "selections"


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is: enough to check its rows and to select them again."""

    snapshot_id: str
    content_hash: str
    purpose: str
    rows: int
    columns: tuple[str, ...]
    units: tuple[str, ...]
    selection: str
    parameters: Mapping[str, Any]


def freeze(
    log: Log, unit: Unit, purpose: str, drawn_from: Sequence[str], parameters: Mapping[str, Any]
) -> str:
    """Freeze what `selections/<purpose>.sql` selects under `parameters`; returns the snapshot's id.

    The selection must give example_id's parents, `candidate_id` and for pairs `rejected_id`, and whatever
    columns the objective `purpose` trains on. Done once by unit; an empty selection is a RatchetError.
    """

    def write() -> pl.DataFrame:
        sql = (SELECTIONS / f"{purpose}.sql").read_text("utf-8")
        examples = _examples(query(log.lake, sql, parameters))
        if examples.is_empty():
            raise RatchetError(f"round {unit.round} of loop {unit.loop} kept no example to train on")
        keys = tuple(drawn_from)
        with disk_errors(f"the snapshot of round {unit.round} of loop {unit.loop} cannot be written"):
            manifest = _write(log.lake, unit.round, purpose, examples, keys, sql, parameters)
        reached("freeze: manifest written")
        return pl.DataFrame(
            {
                "snapshot_id": manifest.snapshot_id,
                "content_hash": manifest.content_hash,
                "purpose": purpose,
                "rows": manifest.rows,
                "units": [list(keys)],
                "selection": sql,
                "path": f"snapshots/{manifest.snapshot_id}",
                "files": listing(log.lake, f"snapshots/{manifest.snapshot_id}"),
                "writers": json.dumps(writers(examples)),
            }
        )

    return str(log.once(unit, "snapshots", write)["snapshot_id"][0])


def read_snapshot(folder: Path, snapshot_id: str) -> pl.DataFrame:
    """The examples in frozen order; SnapshotMismatch where they do not hash to the id."""
    try:
        found = json.loads((folder / "manifest.json").read_text("utf-8"))
        examples = pl.read_parquet(folder / "examples.parquet", glob=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        line = " ".join(str(error).split())
        raise SnapshotMismatch(f"snapshot at {folder} cannot be read: {line}") from None
    content = content_hash(examples)
    if found.get("content_hash") != content or not snapshot_id.endswith(content[:HEX_DIGITS]):
        raise SnapshotMismatch(f"snapshot at {folder} holds {content[:HEX_DIGITS]}, not {snapshot_id}")
    return examples


def content_hash(examples: pl.DataFrame) -> str:
    """SHA-256 (64 hex digits) over column names, then every value with its length, row by row."""
    sha = hashlib.sha256(json.dumps(examples.columns).encode())
    cells = []
    for name in examples.columns:
        text = pl.col(name).cast(pl.String)
        cells.append(pl.format("{}:{};", text.str.len_bytes(), text).fill_null("-;"))
    for part in examples.select(pl.concat_str(cells).alias("row")).iter_slices(10_000):
        sha.update("\n".join(part["row"]).encode())
        sha.update(b"\n")
    return sha.hexdigest()


def writers(examples: pl.DataFrame) -> list[dict[str, Any]]:
    """Who wrote a snapshot's examples, by round, checkpoint and kind, with how many, to how many prompts.

    A pair has two texts: it counts once as `chosen` and once as `rejected`.
    """
    by = ["written_in", "checkpoint_id", "kind"]
    if not {*by, "prompt_id"}.issubset(examples.columns):
        return []
    if "rejected_id" in examples.columns:
        examples = _both_texts(examples)
    told = examples.group_by(by).agg(examples=pl.len(), prompts=pl.col("prompt_id").n_unique())
    return told.sort(by).rename({"written_in": "round"}).to_dicts()


def example_ids(examples: pl.DataFrame) -> list[str]:
    """The ids of examples, from the candidates they were drawn from."""
    rejected = examples["rejected_id"] if "rejected_id" in examples.columns else [None] * examples.height
    return [example_id(*pair) for pair in zip(examples["candidate_id"], rejected, strict=True)]


def _both_texts(examples: pl.DataFrame) -> pl.DataFrame:
    """A row a text: who wrote it, when, for which prompt, and as what."""
    paired = pl.col("rejected_id").is_not_null()
    kind = pl.when(paired).then(pl.lit("chosen")).otherwise("kind").alias("kind")
    first = examples.select("written_in", "checkpoint_id", kind, "prompt_id")
    second = examples.filter(paired).select(
        pl.col("rejected_written_in").alias("written_in"),
        pl.col("rejected_checkpoint_id").alias("checkpoint_id"),
        pl.lit("rejected").alias("kind"),
        "prompt_id",
    )
    return pl.concat([first, second])


def _examples(selected: pl.DataFrame) -> pl.DataFrame:
    ids = pl.Series("example_id", example_ids(selected), dtype=pl.String)
    return selected.insert_column(0, ids).sort("example_id")


def _write(
    lake: Lake,
    round_number: int,
    purpose: str,
    examples: pl.DataFrame,
    units: tuple[str, ...],
    selection: str,
    parameters: Mapping[str, Any],
) -> Manifest:
    content = content_hash(examples)
    snapshot_id = f"snap-{round_number:05d}-{content[:HEX_DIGITS]}"
    columns = tuple(examples.columns)
    manifest = Manifest(
        snapshot_id, content, purpose, examples.height, columns, units, selection, dict(parameters)
    )
    place = f"snapshots/{snapshot_id}"
    if lake.store.entry(f"{place}/manifest.json") is not None:  # an earlier try got this far
        read_snapshot(lake.place(place), snapshot_id)
        lake.store.settle([f"{place}/examples.parquet", f"{place}/manifest.json"])
        return manifest
    sink = pa.BufferOutputStream()
    pq.write_table(examples.to_arrow(), sink, compression="zstd", row_group_size=ROW_GROUP)
    lake.store.replace(f"{place}/examples.parquet", memoryview(sink.getvalue()))
    reached("freeze: examples written")
    lake.store.replace(f"{place}/manifest.json", json.dumps(asdict(manifest), indent=1).encode())
    return manifest
