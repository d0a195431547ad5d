"""Promises of preference snapshots: only what was told apart is frozen, and every text's story is whole."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from flows.pages.show import story
from schemas.errors import RatchetError
from schemas.identity import example_id
from schemas.ids import HEX_DIGITS, make_id
from schemas.tables import SNAPSHOTS
from schemas.units import Unit
from tests.warehouse.preferences import (
    BASE,
    JUDGE,
    LOOP,
    MADE,
    TRAINING,
    frozen,
    play,
    preference,
    rows_of,
    train,
    written,
)
from warehouse.artifacts import listing
from warehouse.lake import Lake
from warehouse.lineage import trace
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.share.export import export
from warehouse.snapshot import content_hash, freeze
from warehouse.verify.lake import verify_lake

CHAIN = [preference(0, 1), preference(1, 2, points=(1.25, 1.0)), preference(3, 0, line=1)]


def texts(lake: Lake, snapshot: str) -> set[tuple[str, str, str | None]]:
    return set(rows_of(lake, snapshot).select("prompt", "chosen", "rejected").rows())


def test_pairs_and_kept_demonstrations_are_frozen(log: Log) -> None:
    play(log, CHAIN)
    assert texts(log.lake, frozen(log)) == {
        ("train prompt 0", "train 0 0: no", "train 0 1: no"),
        ("train prompt 0", "train 0 1: no", "train 0 2: no"),
        ("train prompt 1", "train 1 3: no", "train 1 0: no"),
        ("seed prompt 0", "seed 0 0: no", None),
    }


@pytest.mark.parametrize(
    "row",
    [
        preference(0, 1, points=None, probability=0.5),
        preference(0, 1, points=None, probability=None),
        preference(0, 1, points=(3.0, 3.0), probability=0.5),
        preference(0, 1, split="eval"),
        preference(0, 1, split="seed"),
    ],
    ids=["tie", "no verdict", "tie with points", "held out", "demonstrations"],
)
def test_what_was_not_told_apart_or_may_not_be_trained_on_is_no_pair(
    log: Log, row: dict[str, object]
) -> None:
    play(log, [row])
    assert rows_of(log.lake, frozen(log))["kind"].to_list() == ["demonstration"]


def test_a_pair_that_two_judges_told_apart_alike_is_one_example(log: Log) -> None:
    play(log, [preference(0, 1), preference(0, 1, judge=BASE, points=None, probability=0.9)])
    assert rows_of(log.lake, frozen(log))["kind"].to_list().count("pair") == 1


def test_only_the_rounds_own_units_are_drawn_from(log: Log) -> None:
    play(log, CHAIN)
    none = {"loop": LOOP, "round": 0, "units": ["loop/0/other"]}
    with pytest.raises(RatchetError, match="kept no example"):
        freeze(log, Unit(LOOP, 0, "freeze"), "dpo", none["units"], none)  # type: ignore[arg-type]


def test_an_example_is_of_both_its_candidates_in_their_order(log: Log) -> None:
    play(log, CHAIN)
    for row in rows_of(log.lake, frozen(log)).to_dicts():
        assert row["example_id"] == example_id(row["candidate_id"], row["rejected_id"])
    one, other = written("train", 0, 0), written("train", 0, 1)
    assert len({example_id(one), example_id(one, other), example_id(other, one)}) == 3


def test_one_changed_character_of_a_rejected_text_changes_the_snapshot(log: Log, tmp_path: Any) -> None:
    other = Log(Lake.create(tmp_path / "other"))
    play(log, [preference(0, 1)])
    play(other, [preference(0, 1)], text="nO")
    one, two = frozen(log), frozen(other)
    assert one != two
    left, right = rows_of(log.lake, one), rows_of(other.lake, two)
    only = left.with_columns(rejected=right["rejected"])
    assert content_hash(only) not in (content_hash(left), content_hash(right))


def test_a_supervised_start_learns_kept_demonstrations_and_nothing_held_out(log: Log) -> None:
    play(log, CHAIN)
    rows = rows_of(log.lake, frozen(log, "sft"))
    assert rows.select("kind", "prompt", "response").rows() == [
        ("demonstration", "seed prompt 0", "seed 0 0: no")
    ]


def test_a_snapshot_counts_both_writers_of_a_pair(log: Log) -> None:
    play(log, CHAIN)
    frozen(log)
    assert {
        (one["kind"], one["checkpoint_id"], one["examples"], one["prompts"])
        for one in trace_of_made(log)["generations"][0]["writers"]
    } == {("chosen", BASE, 3, 2), ("rejected", BASE, 3, 2), ("demonstration", None, 1, 1)}


def trace_of_made(log: Log) -> dict[str, Any]:
    train(log, frozen(log))
    return trace(log.lake, MADE)


def shown(told: dict[str, Any]) -> str:
    console = Console(record=True, width=300)
    story(console, told)
    return console.export_text()


def test_a_checkpoint_traces_to_its_pairs_and_their_points(log: Log) -> None:
    play(log, CHAIN)
    facts = trace_of_made(log)
    pairs = facts["generations"][0]["pairs"]
    assert pairs == {
        "pairs": 3,
        "chosen_value": pytest.approx((4.5 + 1.25 + 4.5) / 3),
        "rejected_value": pytest.approx((1.25 + 1.0 + 1.25) / 3),
        "judges": [JUDGE],
    }
    assert facts["generations"][1]["pairs"] is None
    assert f"3 pairs, 3.42 points to 1.17, judged by {JUDGE}" in shown(facts)
    assert f"3 rejected to 2 prompts by {BASE} in round 0" in shown(facts)
    seen = query(
        log.lake, "SELECT * FROM pairs_of_checkpoint ORDER BY chosen_value, rejected_value, chosen_id"
    )
    assert seen["checkpoint_id"].unique().to_list() == [MADE]
    assert set(seen.select("chosen", "rejected", "chosen_value", "rejected_value").rows()) == {
        ("train 0 0: no", "train 0 1: no", 4.5, 1.25),
        ("train 0 1: no", "train 0 2: no", 1.25, 1.0),
        ("train 1 3: no", "train 1 0: no", 4.5, 1.25),
    }


def test_a_candidate_traces_to_every_training_as_chosen_and_as_rejected(log: Log) -> None:
    play(log, CHAIN)
    train(log, frozen(log))
    both = trace(log.lake, written("train", 0, 1))
    first, last = written("train", 0, 0), written("train", 0, 2)
    uses = {(use["place"], use["beside"]): use for use in both["uses"]}
    assert set(uses) == {("rejected", first), ("chosen", last)}
    order = rows_of(log.lake, frozen(log))["example_id"].to_list()
    for use in both["uses"]:
        at = order.index(use["example_id"])
        assert use["steps"] == [at, at + len(order)]
        assert (use["training_id"], use["checkpoint_id"]) == (TRAINING, MADE)
    assert [one["checkpoint_id"] for one in both["checkpoints"]] == [MADE]
    assert len(both["preferences"]) == 2
    assert f"rejected for {first}, 4.50 points to 1.25" in shown(both)
    assert f"trained on as chosen, beside {last}, in round 0" in shown(both)


def test_demonstrations_trace_and_what_no_pair_used_has_no_use(log: Log) -> None:
    play(log, CHAIN)
    train(log, frozen(log))
    taught = trace(log.lake, written("seed", 0, 0))
    assert [(use["place"], use["beside"], len(use["steps"])) for use in taught["uses"]] == [(None, None, 2)]
    unused = trace(log.lake, written("train", 0, 3))
    assert (unused["uses"], unused["checkpoints"], unused["preferences"]) == ([], [], [])
    assert "no training has used it" in shown(unused)


def test_a_candidate_touches_all_that_descends_in_the_same_round_too(log: Log) -> None:
    play(log, CHAIN)
    train(log, frozen(log))
    line = [MADE, *(make_id("ckpt", 0, number) for number in range(5))]
    assert line != sorted(line), "in order of id each would follow its parent: nothing is tested"
    child = {"content_hash": "0" * 64, "role": "policy", "path": "/child", "checkpoint_id": line[1:]}
    rows = pl.DataFrame(child | {"parent_id": line[:-1]})
    log.once(Unit(LOOP, 0, "children"), "checkpoints", lambda: rows)
    touched = trace(log.lake, written("train", 0, 0))["checkpoints"]
    assert {one["checkpoint_id"] for one in touched} == set(line)


def test_the_examples_of_a_checkpoint_are_pairs_and_demonstrations_alike(log: Log) -> None:
    play(log, CHAIN)
    train(log, frozen(log))
    seen = query(log.lake, "SELECT * FROM examples_of_checkpoint")
    assert seen.height == 4
    assert set(seen.select("response", "rejected").rows()) == {
        (chosen, rejected) for _, chosen, rejected in texts(log.lake, frozen(log))
    }
    assert seen["rejected_id"].null_count() == seen["preference_id"].null_count() == 1


def test_verify_deep_finds_a_preference_lake_whole(log: Log) -> None:
    play(log, CHAIN)
    train(log, frozen(log))
    assert verify_lake(log.lake, deep=True).items == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("rejected_id", written("train", 1, 9), "come from no candidate"),
        ("preference_id", make_id("pref", 0, "nobody's"), "come from no preference"),
        ("example_id", example_id(written("train", 0, 0)), "does not follow from its candidates"),
    ],
)
def test_verify_deep_finds_a_pair_that_rests_on_nothing(log: Log, column: str, value: str, said: str) -> None:
    play(log, [preference(0, 1)])
    pair = pl.col("kind") == "pair"
    refrozen(log, pl.when(pair).then(pl.lit(value)).otherwise(column).alias(column))
    assert any(said in one.what for one in verify_lake(log.lake, deep=True).items)


def refrozen(log: Log, change: pl.Expr) -> None:
    """The snapshot with other rows on record, as a faulty step would leave it: under the hash of its rows."""
    lake, old = log.lake, frozen(log)
    rows = rows_of(lake, old).with_columns(change)
    name = f"snap-00000-{content_hash(rows)[:HEX_DIGITS]}"
    folder = lake.root / "snapshots" / name
    folder.mkdir()
    rows.write_parquet(folder / "examples.parquet")
    manifest = json.loads((lake.root / "snapshots" / old / "manifest.json").read_text())
    values = manifest | {"snapshot_id": name, "content_hash": content_hash(rows)}
    (folder / "manifest.json").write_text(json.dumps(values))
    place = f"snapshots/{name}"
    row = read(lake, "snapshots").select(list(SNAPSHOTS.own_polars))
    new = {
        "snapshot_id": name,
        "content_hash": content_hash(rows),
        "path": place,
        "files": listing(lake, place),
    }
    log.once(
        Unit(LOOP, 0, "faulty"),
        "snapshots",
        lambda: row.with_columns(pl.lit(v).alias(k) for k, v in new.items()),
    )


def test_pairs_are_exported_whole_with_every_writer_on_the_card(log: Log, tmp_path: Any) -> None:
    play(log, CHAIN)
    snapshot = frozen(log)
    train(log, snapshot)
    result = export(log.lake, snapshot, tmp_path / "out", "jsonl")
    assert (result.rows, result.whole) == (4, True)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| answer | 0 | 6 | 2 |" in card  # three chosen, three rejected
    assert read(log.lake, "snapshots")["purpose"].to_list() == ["dpo"]
