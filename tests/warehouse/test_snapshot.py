"""Promises of snapshots: one changed character changes the id, and a changed file is refused."""

from __future__ import annotations

import json

import polars as pl
import pytest

from schemas.errors import RatchetError, SnapshotMismatch
from schemas.ids import make_id
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.snapshot import content_hash, freeze, read_snapshot

FILTER = Unit("loop", 0, "filter")


def examples(log: Log, *, kept: bool = True, split: str = "train") -> pl.DataFrame:
    """Prompts with one candidate each and a decision on it, in the log; returns the candidates."""
    admit = Unit("loop", 0, "admit")
    asked = log.once(admit, "prompts", lambda: prompts(admit).with_columns(split=pl.lit(split)))
    ids = [make_id("cand", 0, prompt) for prompt in asked["prompt_id"]]
    candidates = asked.select("prompt_id", "split", text=pl.lit("12 + 1 = 13\n#### 13")).with_columns(
        candidate_id=pl.Series(ids), kind=pl.lit("answer"), sample_index=pl.lit(0)
    )
    log.once(Unit("loop", 0, "generate"), "candidates", lambda: candidates)
    decisions = pl.DataFrame(
        {
            "decision_id": [make_id("dec", 0, one) for one in ids],
            "candidate_id": ids,
            "prompt_id": asked["prompt_id"],
            "filter": "correct",
            "position": 0,
            "kept": kept,
        }
    )
    log.once(FILTER, "decisions", lambda: decisions)
    return candidates


def frozen(log: Log, shard: int = 0) -> str:
    parameters = {"loop": "loop", "round": 0, "units": [FILTER.key]}
    return freeze(log, Unit("loop", 0, "freeze", shard), "sft", [FILTER.key], parameters)


def test_freezing_twice_gives_one_snapshot(log: Log) -> None:
    examples(log)
    first, again, elsewhere = frozen(log), frozen(log), frozen(log, shard=1)
    assert first == again == elsewhere
    assert read_snapshot(log.lake.root / "snapshots" / first, first).height == 5
    assert read(log.lake, "snapshots")["rows"].to_list() == [5, 5]
    assert len(list((log.lake.root / "snapshots").iterdir())) == 1


def test_a_snapshot_says_what_it_was_drawn_from(log: Log) -> None:
    examples(log)
    snapshot = frozen(log)
    manifest = json.loads((log.lake.root / "snapshots" / snapshot / "manifest.json").read_text())
    assert manifest["units"] == [FILTER.key]
    again = query(log.lake, manifest["selection"], manifest["parameters"])
    kept = read_snapshot(log.lake.root / "snapshots" / snapshot, snapshot)
    assert again.sort("candidate_id").equals(kept.sort("candidate_id").drop("example_id"))


@pytest.mark.parametrize("column", ["prompt", "response", "candidate_id"])
def test_one_changed_character_changes_the_hash(column: str) -> None:
    rows = pl.DataFrame({"example_id": ["a"], "candidate_id": ["c"], "prompt": ["p"], "response": ["r"]})
    assert content_hash(rows) != content_hash(rows.with_columns(pl.col(column) + "x"))


def test_text_cannot_move_between_cells_or_rows_unseen() -> None:
    def hashed(*rows: tuple[str | None, str | None]) -> str:
        return content_hash(pl.DataFrame(rows, schema=["a", "b"], orient="row"))

    hashes = [
        hashed(("x", "y")),
        hashed(("xy", "")),
        hashed(("", "xy")),
        hashed((None, "xy")),
        hashed(("-;", "xy")),
        hashed(("x;1:y", "")),
        hashed(("x", "y"), ("", "")),
        hashed(("", ""), ("x", "y")),
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_changed_snapshot_is_refused(log: Log) -> None:
    examples(log)
    snapshot = frozen(log)
    folder = log.lake.root / "snapshots" / snapshot
    rows = pl.read_parquet(folder / "examples.parquet", glob=False)
    rows.with_columns(pl.col("response").str.replace("13", "14")).write_parquet(folder / "examples.parquet")
    with pytest.raises(SnapshotMismatch, match=snapshot):
        read_snapshot(folder, snapshot)


def test_nothing_kept_is_an_error_that_names_the_round(log: Log) -> None:
    examples(log, kept=False)
    with pytest.raises(RatchetError, match="round 0 of loop loop kept no example"):
        frozen(log)
    assert not (log.lake.root / "snapshots").exists()


def test_a_held_out_prompt_cannot_be_frozen(log: Log) -> None:
    examples(log, split="eval")
    with pytest.raises(RatchetError, match="kept no example"):
        frozen(log)


def test_a_snapshot_opens_as_an_ordinary_dataset(log: Log, lake: Lake) -> None:
    from datasets import load_dataset

    examples(log)
    file = lake.root / "snapshots" / frozen(log) / "examples.parquet"
    opened = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(lake.root.parent))
    assert opened.num_rows == 5
