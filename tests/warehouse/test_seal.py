"""Promises of seals: a closed round is compacted once, stays readable, takes no more, and says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas.errors import LogDamaged, RoundSealed
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse import story
from tests.warehouse.conftest import prompts
from tests.warehouse.damage import changed, flipped
from tests.warehouse.processes import CONTEXT, process
from tests.warehouse.story import facts, play, same, shards
from warehouse import log as log_room
from warehouse.delta.seals import find_seal, last_seal
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.seal import seal_rounds, sealable, unsealed
from warehouse.verify.lake import verify_lake


@pytest.fixture
def closed(full: Lake) -> Lake:
    """A lake in which round 2 of loop ada is closed and waits for its seal."""
    play(Log(full), "ada", 2)
    return full


def refuse() -> pl.DataFrame:
    raise AssertionError("computed again, or at all")


@pytest.mark.parametrize("table", TABLES)
def test_a_sealed_round_takes_no_more_even_where_it_has_no_rows(full: Lake, table: str) -> None:
    late = Unit("ada", 0, "late")
    before = full.versions()
    with pytest.raises(RoundSealed, match="round 0 of loop ada is sealed"):
        Log(full).once(late, table, refuse)
    assert full.versions() == before


def test_an_append_that_began_before_the_close_is_refused_and_leaves_nothing(
    closed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has looked, and has its file written, when the round is sealed under it."""
    late = Unit("ada", 2, "late")
    sealed: list[int] = []

    def meanwhile(point: str) -> None:
        if point == "append prompts: file written" and not sealed:
            sealed.extend(seal.round for seal in seal_rounds(Log(closed), "ada"))

    monkeypatch.setattr(log_room, "reached", meanwhile)
    with pytest.raises(RoundSealed):
        Log(closed).once(late, "prompts", lambda: prompts(late))
    assert sealed == [2]
    assert read(closed, "prompts", {"unit": late.key}).is_empty()
    assert verify_lake(closed, deep=True).items == []


def test_an_empty_append_that_began_before_the_close_is_refused(
    closed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, sealed = Unit("ada", 2, "late"), []
    commit = Log._commit

    def slow(self: Log, *rest: object) -> None:
        if not sealed:
            sealed.append(seal_rounds(Log(closed), "ada"))
        commit(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Log, "_commit", slow)
    with pytest.raises(RoundSealed):
        Log(closed).once(late, "critiques", lambda: pl.DataFrame())
    assert verify_lake(closed).items == []


def test_units_of_a_sealed_round_are_read_and_never_computed(closed: Lake) -> None:
    before = facts(closed)
    seal_rounds(Log(closed), "ada")
    assert same(before, facts(closed))
    for number in range(3):
        for unit in shards("ada", number, "generate"):
            rows = Log(closed).once(unit, "candidates", refuse)
            assert rows.height == story.PROMPTS
            assert rows["candidate_id"].is_sorted()
        assert Log(closed).once(Unit("ada", number, "tokens"), "tokens", refuse).is_empty()
        assert Log(closed).holds(Unit("ada", number, "admit"), "prompts")


def test_units_are_held_between_the_compaction_and_the_seal(closed: Lake) -> None:
    """A killed sealer leaves a round compacted, its keys expired, and no seal yet."""
    seal_rounds(Log(closed), "ada")
    (closed.root / "seals" / "ada" / "00002.json").unlink()
    assert Log(closed).once(Unit("ada", 2, "admit"), "prompts", refuse).height == story.PROMPTS
    assert Log(closed).once(Unit("ada", 2, "tokens"), "tokens", refuse).is_empty()
    with pytest.raises(RoundSealed):
        Log(closed).once(Unit("ada", 2, "late"), "prompts", refuse)


def test_keys_of_sealed_rounds_leave_deltas_log_and_its_checkpoints(full: Lake) -> None:
    keys = [unit.key for unit in shards("ada", 0, "generate")]
    delta = full.open("candidates")
    assert delta is not None
    assert [delta.transaction_version(key) for key in keys] == [None, None]
    open_round = shards("ada", 2, "generate")[0].key
    assert delta.transaction_version(open_round) == 1
    newest = sorted((full.root / full.log("candidates")).glob("*.checkpoint.parquet"))[-1]
    contents = {row["appId"] for row in pq.read_table(newest)["txn"].to_pylist() if row}
    assert "compacted/ada" in contents
    assert not contents & set(keys)


def test_a_seal_says_what_the_round_holds_and_names_the_one_before(full: Lake) -> None:
    first, second = (find_seal(full.store, "bob", number) for number in range(2))
    assert first is not None
    assert second is not None
    assert (first.previous, second.previous) == (None, first.sha256)
    for name, table in second.tables.items():
        rows = read(full, name, {"loop": "bob", "round": 1})
        assert table.rows == rows.height == sum(file.rows or 0 for file in table.files)
        assert set(rows["unit"]) <= set(table.units)
        assert len(table.files) <= 1
    assert {file.name.split("/")[0] for file in second.artifacts} == {"snapshots", "trainings"}


def test_a_sealed_round_lies_in_the_order_that_look_ups_prune_by(full: Lake) -> None:
    for name, table in TABLES.items():
        for file in full.files(name, {"loop": "ada", "round": 0}):
            rows = pl.read_parquet(file, hive_partitioning=False)
            assert rows.equals(rows.sort(table.order))


def test_waiting_rounds_are_sealed_together_oldest_first(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    log = Log(lake)
    for number in range(3):
        play(log, "ada", number)
    play(log, "bob", 0, closes=False)
    assert sealable(lake) == ["ada"]
    assert [seal.round for seal in seal_rounds(log, "ada")] == [0, 1, 2]
    assert unsealed(lake, "ada") == []
    assert seal_rounds(log, "ada") == []
    assert verify_lake(lake, deep=True).items == []


def test_a_loop_without_a_closed_round_has_nothing_to_seal(lake: Lake) -> None:
    play(Log(lake), "ada", 0, closes=False)
    assert sealable(lake) == []
    assert seal_rounds(Log(lake), "ada") == []
    assert not lake.store.entries("seals")


def _seal(root: Path, start: object) -> None:
    lake = Lake(root)
    start.wait()  # type: ignore[attr-defined]
    seal_rounds(Log(lake), "ada")


def test_two_sealers_at_once_seal_once(closed: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = facts(closed)
    start = CONTEXT.Barrier(2)
    sealers = [process(_seal, closed.root, start) for _ in range(2)]
    for sealer in sealers:
        sealer.start()
    for sealer in sealers:
        sealer.join()
    assert [sealer.exitcode for sealer in sealers] == [0, 0]
    assert same(before, facts(closed))
    assert verify_lake(closed, deep=True).items == []


def test_two_compactors_without_a_lock_do_not_double_rows(
    closed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second seals everything while the first has its file written and not committed."""
    from warehouse import compact

    before, calls = facts(closed), []
    monkeypatch.setattr(type(closed.store), "exclusive", lambda *_, **__: nothing_held())

    def meanwhile(point: str) -> None:
        if point == "seal candidates: files written" and not calls:
            calls.append(point)
            calls.extend(seal_rounds(Log(Lake(closed.root)), "ada"))

    monkeypatch.setattr(compact, "reached", meanwhile)
    seal_rounds(Log(closed), "ada")
    assert len(calls) == 2
    assert same(before, facts(closed))
    assert verify_lake(closed, deep=True).items == []


def nothing_held() -> object:
    from contextlib import nullcontext

    return nullcontext()


def test_bit_rot_is_found_before_a_round_is_sealed_and_not_laundered(closed: Lake) -> None:
    (file,) = closed.files("scores", {"loop": "ada", "round": 2, "unit": shards("ada", 2, "verify")[0].key})
    data = Path(file).read_bytes()
    with changed(Path(file), flipped(data, len(data) // 2, 0)):
        with pytest.raises(LogDamaged, match="was changed"):
            seal_rounds(Log(closed), "ada")
        assert find_seal(closed.store, "ada", 2) is None
    with changed(Path(file), None), pytest.raises(LogDamaged, match="is missing"):
        seal_rounds(Log(closed), "ada")
    assert [seal.round for seal in seal_rounds(Log(closed), "ada")] == [2]
    assert verify_lake(closed, deep=True).items == []


def test_an_edited_log_entry_is_found_before_a_round_is_sealed(closed: Lake) -> None:
    path = sorted((closed.root / closed.log("evaluations")).glob("*.json"))[-1]
    text = path.read_text()
    assert "/evaluate/" in text
    with (
        changed(path, text.replace("/evaluate/", "/evaluatf/").encode()),
        pytest.raises(LogDamaged, match="changed"),
    ):
        seal_rounds(Log(closed), "ada")


def test_an_id_that_stands_twice_in_a_round_is_refused(full: Lake) -> None:
    log = Log(full)
    again = read(full, "evaluations", {"loop": "ada", "round": 2})
    own = again.select(list(TABLES["evaluations"].own_polars))
    log.once(Unit("ada", 2, "twice"), "evaluations", lambda: own)
    play(log, "ada", 2)
    with pytest.raises(LogDamaged, match="stands twice"):
        seal_rounds(log, "ada")
    assert last_seal(full.store, "ada").round == 1  # type: ignore[union-attr]


def test_the_newest_seal_is_on_record_in_the_log(full: Lake) -> None:
    entries = sorted((full.root / full.log("rounds")).glob("*.json"))
    infos = [json.loads(line).get("commitInfo") for path in entries for line in path.open()]
    seals = [info["ratchet"]["seal"] for info in infos if info and "seal" in info["ratchet"]]
    recorded = {(seal["loop"], seal["round"]): seal["sha256"] for seal in seals}
    assert len(recorded) == 4
    for (loop, number), sha256 in recorded.items():
        assert find_seal(full.store, loop, number).sha256 == sha256  # type: ignore[union-attr]


@pytest.mark.parametrize("made", ["lost", "refused"])
def test_a_compaction_whose_answer_is_lost_keeps_what_the_log_names(
    closed: Lake, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    before, calls = facts(closed), []
    write = DeltaTable.create_write_transaction

    def unanswered(self: DeltaTable, *rest: object, **more: object) -> None:
        first = not calls
        calls.append(1)
        if made == "lost" or not first:
            write(self, *rest, **more)
        if first:
            raise CommitFailedError("a conflict, as storage tells it when an answer is lost")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", unanswered)
    seal_rounds(Log(closed), "ada")
    assert same(before, facts(closed))
    assert verify_lake(closed, deep=True).items == []


def test_a_moved_lake_seals_on(closed: Lake, copy: Callable[[], Lake], tmp_path: Path) -> None:
    closed.root.rename(tmp_path / "elsewhere")
    moved = Lake(tmp_path / "elsewhere")
    assert [seal.round for seal in seal_rounds(Log(moved), "ada")] == [2]
    assert verify_lake(moved, deep=True).items == []
