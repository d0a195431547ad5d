"""Snapshots: training sets frozen by content, owned row by row, written once.

A snapshot is a folder with `examples.parquet` and `manifest.json`, which comes last. Its id carries the
SHA-256 of its canonical rows, so it does not depend on how Parquet stored them, and one changed character
changes it.
Its rows are its own: it records the units it was drawn from, and outlives them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import BadInput, RatchetError, SnapshotMismatch, UnitConflict
from schemas.identity import example_id, snapshot_id
from schemas.ids import HEX_DIGITS, round_of
from schemas.units import Unit
from warehouse.ancestry.retract import without_retracted
from warehouse.artifacts import listing
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors, one_line

ROW_GROUP = 32_768  # rows
HASHED_AT_ONCE = 1_000_000  # values of a column
HASHED_IN_LISTS = (pl.String, pl.Int64, pl.Int32, pl.Float64, pl.Float32, pl.Boolean)
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
    phase: str = ""


@dataclass(frozen=True)
class PromptForm:
    """How examples' prompts are put to the model: `put` writes columns `prompt` and `messages`."""

    label: str
    put: Callable[[pl.DataFrame], pl.DataFrame]


def freeze(
    log: Log,
    unit: Unit,
    objective: str,
    drawn_from: Sequence[str],
    parameters: Mapping[str, Any],
    form: PromptForm | None = None,
) -> str:
    """Freeze what `selections/<objective>.sql` selects under `parameters`; returns the snapshot's id.

    The selection must give example_id's parents, `candidate_id` and for pairs `rejected_id`, and whatever
    columns the objective trains on. What descends from something taken back is left out
    (ancestry/retract.py); BadInput where nothing else is there. Done once by unit; an empty selection is a
    RatchetError, and so is a unit that holds a snapshot of something else: a round that freezes twice does so
    in two phases.
    `form` writes the examples' prompts as they are put to the model; its label stands in the manifest.
    """
    recorded = {**parameters, "asked": form.label} if form is not None else dict(parameters)

    def write() -> pl.DataFrame:
        sql = (SELECTIONS / f"{objective}.sql").read_text("utf-8")
        selected = query(log.lake, sql, parameters)
        examples = _examples(form.put(selected) if form is not None else selected)
        there = examples.height
        examples = without_retracted(log.lake, unit, objective, examples)
        if there and examples.is_empty():
            raise BadInput(
                f"all {there:,} examples that round {unit.round} of loop {unit.loop} kept were taken back: "
                "nothing is left to train on"
            )
        if examples.is_empty():
            raise RatchetError(f"round {unit.round} of loop {unit.loop} kept no example to train on")
        keys = tuple(drawn_from)
        manifest = _manifest(unit, objective, examples, keys, sql, recorded)
        _refuse_second(log.lake, unit, manifest.snapshot_id)
        with disk_errors(f"the snapshot of round {unit.round} of loop {unit.loop} cannot be written"):
            _write(log.lake, manifest, examples)
        reached("freeze: manifest written")
        return pl.DataFrame(
            {
                "snapshot_id": manifest.snapshot_id,
                "content_hash": manifest.content_hash,
                "purpose": objective,
                "rows": manifest.rows,
                "units": [list(keys)],
                "selection": sql,
                "path": f"snapshots/{manifest.snapshot_id}",
                "files": listing(log.lake, f"snapshots/{manifest.snapshot_id}"),
                "writers": json.dumps(writers(examples)),
            }
        )

    row = log.once(unit, "snapshots", write).row(0, named=True)
    _refuse_other(log.lake, unit, row, objective, drawn_from, recorded)
    return str(row["snapshot_id"])


def read_snapshot(folder: Path, snapshot: str) -> pl.DataFrame:
    """The examples in frozen order; SnapshotMismatch where they do not hash to the id."""
    manifest = read_manifest(folder)
    try:
        examples = pl.read_parquet(folder / "examples.parquet", glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SnapshotMismatch(f"snapshot at {folder} cannot be read: {one_line(error)}") from None
    content = content_hash(examples)
    within = str(manifest.get("purpose", "")), str(manifest.get("phase", ""))
    own = snapshot_id(round_of(snapshot) or 0, content, *within)
    if manifest.get("content_hash") != content or snapshot != own:
        raise SnapshotMismatch(f"snapshot at {folder} holds {content[:HEX_DIGITS]}, not {snapshot}")
    return examples


def content_hash(examples: pl.DataFrame) -> str:
    """SHA-256 (64 hex digits) over column names, then every value with its length, row by row.

    A list is its values, each with its length, between brackets; floats in a list are hashed as their bits.
    BadInput for a column of another kind, which has no hash.
    """
    sha = hashlib.sha256(json.dumps(examples.columns).encode())
    cells = [_cell(name, kind) for name, kind in examples.schema.items()]
    for part in examples.iter_slices(_at_once(examples)):
        rows = _bits(part).select(pl.concat_str(cells).alias("row"))["row"]
        sha.update("\n".join(rows).encode())
        sha.update(b"\n")
    return sha.hexdigest()


def _at_once(examples: pl.DataFrame) -> int:
    """Rows that are hashed at once: fewer where lists are long. It changes no hash."""
    lists = [name for name, kind in examples.schema.items() if isinstance(kind, pl.List)]
    longest = max((max(examples[name].list.len().drop_nulls(), default=0) for name in lists), default=0)
    return max(1, HASHED_AT_ONCE // max(100, longest))


def _cell(name: str, kind: pl.DataType) -> pl.Expr:
    """A column's values as texts that say where they end."""
    text = pl.col(name)
    if isinstance(kind, pl.List):
        if kind.inner not in HASHED_IN_LISTS:
            raise BadInput(f"column {name} holds {kind}: no snapshot holds lists of that")
        one = pl.element().cast(pl.String)
        each = text.list.eval(pl.format("{}:{};", one.str.len_bytes(), one).fill_null("-;"))
        text = pl.format("[{}]", each.list.join(""))
    elif kind.is_nested() or kind in (pl.Object, pl.Binary):
        raise BadInput(f"column {name} holds {kind}: no snapshot holds that")
    text = text.cast(pl.String)
    return pl.format("{}:{};", text.str.len_bytes(), text).fill_null("-;")


def _bits(part: pl.DataFrame) -> pl.DataFrame:
    """The rows with lists of floats as lists of their bits, so that no printing of them is hashed."""
    wide = [name for name, kind in part.schema.items() if kind in (pl.List(pl.Float64), pl.List(pl.Float32))]
    return part.with_columns(_as_bits(part[name]) for name in wide)


def _as_bits(column: pl.Series) -> pl.Series:
    floats = column.cast(pl.List(pl.Float64)).to_arrow()
    bits = pl.from_arrow(floats.view(pa.large_list(pa.int64())))
    assert isinstance(bits, pl.Series)
    return bits.alias(column.name)


def writers(examples: pl.DataFrame) -> list[dict[str, Any]]:
    """Who wrote a snapshot's examples, by round, checkpoint and kind, with how many, to how many prompts.

    A pair has two texts: it counts once as `chosen` and once as `rejected`.
    """
    by = ["written_in", "checkpoint_id", "kind"]
    if not {*by, "prompt_id"}.issubset(examples.columns):
        return []
    if "rejected_id" in examples.columns:
        examples = _both_texts(examples)
    counts = examples.group_by(by).agg(examples=pl.len(), prompts=pl.col("prompt_id").n_unique())
    return counts.sort(by).rename({"written_in": "round"}).to_dicts()


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
    """Rows with their ids. An empty column `messages` is left out: plain prompts hash as they always did."""
    if "messages" in selected.columns and selected["messages"].null_count() == selected.height:
        selected = selected.drop("messages")
    ids = pl.Series("example_id", example_ids(selected), dtype=pl.String)
    return selected.insert_column(0, ids).sort("example_id")


def _manifest(
    unit: Unit,
    objective: str,
    examples: pl.DataFrame,
    units: tuple[str, ...],
    selection: str,
    parameters: Mapping[str, Any],
) -> Manifest:
    content = content_hash(examples)
    own = snapshot_id(unit.round, content, objective, unit.phase)
    columns = tuple(examples.columns)
    return Manifest(
        own, content, objective, examples.height, columns, units, selection, dict(parameters), unit.phase
    )


def _refuse_second(lake: Lake, unit: Unit, snapshot: str) -> None:
    """UnitConflict where another unit of the round holds a snapshot with this id: ids stand once."""
    rows = read(lake, "snapshots", {"loop": unit.loop, "round": unit.round, "snapshot_id": snapshot})
    if not rows.is_empty():
        raise UnitConflict(f"{snapshot} was frozen by {rows['unit'][0]}: {unit.key} would freeze it again")


def _refuse_other(
    lake: Lake,
    unit: Unit,
    row: Mapping[str, Any],
    objective: str,
    drawn_from: Sequence[str],
    parameters: Mapping[str, Any],
) -> None:
    """UnitConflict where the unit's snapshot has another objective, other units or other parameters."""
    request = (objective, sorted(drawn_from), dict(parameters))
    manifest = read_manifest(lake.place(row["path"]))
    if (row["purpose"], sorted(row["units"]), manifest.get("parameters", {})) != request:
        raise UnitConflict(
            f"{unit.key} holds {row['snapshot_id']}, drawn for {row['purpose']} from other facts than are "
            "asked for now: freeze again in another phase of the round"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a snapshot's folder as plain values; SnapshotMismatch where it cannot be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SnapshotMismatch(f"snapshot at {folder} cannot be read: {one_line(error)}") from None
    return manifest if isinstance(manifest, dict) else {}


def _write(lake: Lake, manifest: Manifest, examples: pl.DataFrame) -> None:
    place = f"snapshots/{manifest.snapshot_id}"
    if lake.store.entry(f"{place}/manifest.json") is not None:  # an earlier try got this far
        read_snapshot(lake.place(place), manifest.snapshot_id)
        lake.store.settle([f"{place}/examples.parquet", f"{place}/manifest.json"])
        return
    sink = pa.BufferOutputStream()
    pq.write_table(examples.to_arrow(), sink, compression="zstd", row_group_size=ROW_GROUP)
    lake.store.replace(f"{place}/examples.parquet", memoryview(sink.getvalue()))
    reached("freeze: examples written")
    lake.store.replace(f"{place}/manifest.json", json.dumps(asdict(manifest), indent=1).encode())
