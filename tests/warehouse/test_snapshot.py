"""Promises of snapshots: one changed character changes the id, and a changed file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from schemas.errors import BadInput, RatchetError, SnapshotMismatch, UnitConflict
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
    admitted = log.once(admit, "prompts", lambda: prompts(admit).with_columns(split=pl.lit(split)))
    ids = [make_id("cand", 0, prompt) for prompt in admitted["prompt_id"]]
    candidates = admitted.select("prompt_id", "split", text=pl.lit("12 + 1 = 13\n#### 13")).with_columns(
        candidate_id=pl.Series(ids), kind=pl.lit("answer"), sample_index=pl.lit(0)
    )
    log.once(Unit("loop", 0, "generate"), "candidates", lambda: candidates)
    decisions = pl.DataFrame(
        {
            "decision_id": [make_id("dec", 0, one) for one in ids],
            "candidate_id": ids,
            "prompt_id": admitted["prompt_id"],
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
    first, again = frozen(log), frozen(log)
    assert first == again
    assert read_snapshot(log.lake.root / "snapshots" / first, first).height == 5
    assert read(log.lake, "snapshots")["rows"].to_list() == [5]
    assert len(list((log.lake.root / "snapshots").iterdir())) == 1


def test_a_unit_freezes_one_thing_and_refuses_another(log: Log) -> None:
    examples(log)
    first = frozen(log)
    other = Unit("loop", 0, "filter", 1)
    parameters = {"loop": "loop", "round": 0, "units": [other.key]}
    with pytest.raises(UnitConflict, match=f"holds {first}, drawn for sft from other facts"):
        freeze(log, Unit("loop", 0, "freeze"), "sft", [other.key], parameters)
    with pytest.raises(UnitConflict, match="drawn for sft"):
        freeze(log, Unit("loop", 0, "freeze"), "dpo", [FILTER.key], parameters)


def test_an_id_that_would_stand_twice_is_refused_before_it_is_written(log: Log) -> None:
    examples(log)
    first = frozen(log)
    with pytest.raises(UnitConflict, match=f"{first} was frozen by loop/00000/freeze/00000"):
        frozen(log, shard=1)
    assert read(log.lake, "snapshots").height == 1


def test_two_phases_freeze_the_same_content_under_ids_of_their_own(log: Log) -> None:
    examples(log)
    parameters = {"loop": "loop", "round": 0, "units": [FILTER.key]}
    ids = {
        freeze(log, Unit("loop", 0, "freeze", phase=phase), "sft", [FILTER.key], parameters)
        for phase in ("", "01-first", "02-second")
    }
    assert len(ids) == 3
    known = read(log.lake, "snapshots")
    assert known["content_hash"].n_unique() == 1
    for one in ids:
        assert read_snapshot(log.lake.root / "snapshots" / one, one).height == 5


LISTS = pl.DataFrame(
    {
        "example_id": ["a", "b", "c"],
        "tokens": [[1, 2], [], None],
        "logprobs": [[-0.5, None], [0.1 + 0.2], [float("-inf")]],
        "labels": [["yes", ""], [None], ["no;1:x;"]],
    }
)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tokens", [[1], [2], None]),
        ("tokens", [[1, 2], None, []]),
        ("tokens", [[12], [], None]),
        ("logprobs", [[-0.5, None], [0.3], [float("-inf")]]),
        ("logprobs", [[-0.5, None], [0.1 + 0.2], [float("inf")]]),
        ("labels", [["yes"], [""], ["no;1:x;"]]),
        ("labels", [["yes", ""], [None], ["no", "x"]]),
    ],
)
def test_lists_are_frozen_value_by_value(column: str, value: list[list[object] | None]) -> None:
    changed = LISTS.with_columns(pl.Series(column, value, LISTS.schema[column], strict=False))
    assert content_hash(changed) != content_hash(LISTS)
    assert content_hash(LISTS) == content_hash(LISTS.clone().rechunk())


def test_a_list_comes_back_from_the_disk_as_it_was_hashed(tmp_path: Path) -> None:
    LISTS.write_parquet(tmp_path / "lists.parquet")
    assert content_hash(pl.read_parquet(tmp_path / "lists.parquet")) == content_hash(LISTS)


def test_lists_hash_the_same_however_many_rows_and_pieces_hold_them() -> None:
    rows = 10_001  # more than are hashed at a time
    numbers = [None if i % 7 == 0 else [i / 3, None][: i % 3] for i in range(rows)]
    whole = pl.DataFrame({"example_id": [f"{i:05d}" for i in range(rows)], "logprobs": numbers})
    pieces = pl.concat([whole[:5], whole[5:9_000], whole[9_000:]], rechunk=False)
    assert pieces.n_chunks() == 3
    assert content_hash(pieces) == content_hash(whole)
    last = whole.with_columns(logprobs=pl.Series([*numbers[:-1], [0.5]]))
    assert content_hash(last) != content_hash(whole)


def test_what_is_not_hashed_is_not_frozen() -> None:
    nested = pl.DataFrame({"example_id": ["a"], "deep": [[[1]]]})
    with pytest.raises(BadInput, match="column deep holds"):
        content_hash(nested)


def test_a_snapshot_says_what_it_was_drawn_from(log: Log) -> None:
    examples(log)
    snapshot = frozen(log)
    manifest = json.loads((log.lake.root / "snapshots" / snapshot / "manifest.json").read_text())
    assert manifest["units"] == [FILTER.key]
    again = query(log.lake, manifest["selection"], manifest["parameters"])
    survivors = read_snapshot(log.lake.root / "snapshots" / snapshot, snapshot)
    assert again["messages"].null_count() == again.height, "texts alone: the frozen rows have no such column"
    assert (
        again.drop("messages").sort("candidate_id").equals(survivors.sort("candidate_id").drop("example_id"))
    )


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
