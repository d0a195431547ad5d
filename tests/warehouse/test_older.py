"""Promises across versions: an older lake is widened, sealed and verified, an older writer is refused."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from pathlib import Path
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction

from schemas.columns import Column, Table
from schemas.errors import SchemaMismatch
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.damage import changed, damaged, flipped
from tests.warehouse.story import facts, play, same
from warehouse.delta.datafile import PARTITION
from warehouse.delta.journal import read_entries
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.maintain import maintain
from warehouse.query import read
from warehouse.seal import seal_rounds
from warehouse.verify.lake import verify_lake

LATER = ("files",)  # columns that the first Ratchet did not have
CONFIGURATION = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "10",
}


def older_append(root: Path, table: Table, units: list[str], rows: pl.DataFrame) -> None:
    """One commit as the first Ratchet wrote it: no hash in names, no digest, no links."""
    schema = pa.schema([field for field in table.arrow if field.name not in LATER])
    folder = root / "tables" / table.name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "_delta_log").exists():
        DeltaTable.create(
            str(folder), schema, mode="ignore", partition_by=PARTITION, configuration=CONFIGURATION
        )
    now = int(time.time() * 1000)
    description: dict[str, object] = {"format": 1, "units": units}
    actions = []
    if rows.height:
        stored = pa.schema([field for field in schema if field.name not in PARTITION])
        sink = io.BytesIO()
        pq.write_table(rows.drop(PARTITION).select(stored.names).to_arrow().cast(stored), sink)
        data = sink.getvalue()
        place = {"loop": str(rows["loop"][0]), "round": str(rows["round"][0])}
        name = f"loop={place['loop']}/round={place['round']}/part-{uuid4().hex}.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        stats = json.dumps({"numRecords": rows.height})
        actions = [AddAction(name, len(data), place, now, True, stats)]
        sha256 = hashlib.sha256(data).hexdigest()
        description["files"] = {name: {"sha256": sha256, "size": len(data), "rows": rows.height}}
    properties = CommitProperties(
        custom_metadata={"ratchet": description},
        app_transactions=[Transaction(unit, 1, now) for unit in units],
    )
    DeltaTable(str(folder)).create_write_transaction(
        actions, "append", schema, PARTITION, commit_properties=properties
    )


@pytest.fixture
def older(tmp_path: Path) -> Lake:
    """A closed round and an open one, as the first Ratchet wrote them."""
    new = Lake.create(tmp_path / "new")
    for number in range(2):
        play(Log(new), "ada", number, closes=number == 0)
    old = Lake.create(tmp_path / "old")
    for name, table in TABLES.items():
        rows = read(new, name)
        for entry in read_entries(new.store, new.log(name), 1, new.versions().get(name, 0)):
            mine = rows.filter(pl.col("unit").is_in(entry.units))
            older_append(old.root, table, entry.units, mine)
    for room in ("snapshots", "trainings"):
        shutil.copytree(new.root / room, old.root / room)
    return old


def test_an_older_lake_reads_goes_on_seals_and_verifies(older: Lake, tmp_path: Path) -> None:
    before = facts(older)
    assert verify_lake(older).clean
    log = Log(older)
    play(log, "ada", 1)
    assert [seal.round for seal in seal_rounds(log, "ada")] == [0, 1]
    assert verify_lake(older, deep=True).items == []
    maintain(log, keep_hours=0)
    play(log, "ada", 2)
    assert [seal.round for seal in seal_rounds(log, "ada")] == [2]
    after = facts(older)
    for name in TABLES:
        rows = after[name].filter(pl.col("unit").is_in(before[name]["unit"].to_list()))
        assert rows.equals(before[name])
    assert verify_lake(older, deep=True).items == []
    assert "files" in {field.name for field in older.open("snapshots").schema().fields}  # type: ignore[union-attr]


def test_an_older_lake_holds_the_same_facts_as_a_new_one(older: Lake, tmp_path: Path) -> None:
    new, old = facts(Lake(tmp_path / "new")), facts(older)
    for name in TABLES:
        assert old[name].drop(LATER, strict=False).equals(new[name].drop(LATER, strict=False))


def test_a_turned_bit_in_an_older_file_is_found_before_and_after_the_seal(older: Lake) -> None:
    for sealed in (False, True):
        if sealed:
            seal_rounds(Log(older), "ada")
        (name, *_) = older.file_names("scores", {"loop": "ada", "round": 0 if sealed else 1})
        data = (older.root / name).read_bytes()
        with changed(older.root / name, flipped(data, len(data) // 2, 3)):
            assert name in damaged(verify_lake(older))


def _grown(table: Table) -> Table:
    """The table as a later Ratchet may have it."""
    column = Column("mood", pa.string(), "a later column", nullable=True)
    return Table(table.name, table.doc, table.id, (*table.own, column), table.sorted_by)


def test_an_old_writer_is_refused_after_a_new_column_and_its_reads_go_on(
    full: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, late = Unit("ada", 2, "newer"), Unit("ada", 2, "older")
    rows = prompts(unit).with_columns(mood=pl.lit("glad"))
    with monkeypatch.context() as newer:
        newer.setitem(TABLES, "prompts", _grown(TABLES["prompts"]))
        Log(full).once(unit, "prompts", lambda: rows)
        assert read(full, "prompts", {"unit": unit.key})["mood"].to_list() == ["glad"] * 5
        assert read(full, "prompts", {"round": 0})["mood"].null_count() == 8
        assert verify_lake(full, deep=False).items == []
    before = full.versions()
    with pytest.raises(SchemaMismatch, match="'mood', which this Ratchet does not know") as refused:
        Log(full).once(late, "prompts", lambda: prompts(late))
    assert "\n" not in str(refused.value)
    assert full.versions() == before
    assert read(full, "prompts", {"unit": unit.key}).height == 5
    assert verify_lake(full).clean


def test_a_writer_that_began_before_the_new_column_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked and written its file; the table is widened; its commit conflicts, and it is told why."""
    from warehouse import log as log_room

    first, late = Unit("ada", 0, "first"), Unit("ada", 0, "late")
    Log(lake).once(first, "prompts", lambda: prompts(first))

    def meanwhile(point: str) -> None:
        if point == "append prompts: file written":
            lake.open("prompts").alter.add_columns([_field()])  # type: ignore[union-attr]

    monkeypatch.setattr(log_room, "reached", meanwhile)
    with pytest.raises(SchemaMismatch, match="mood"):
        Log(lake).once(late, "prompts", lambda: prompts(late))
    assert read(lake, "prompts").height == 5


def _field() -> object:
    from deltalake import Field

    return Field("mood", "string", nullable=True)


def test_an_older_lake_grows_and_both_kinds_of_file_are_read(older: Lake) -> None:
    before = read(older, "trainings")
    assert before["files"].null_count() == before.height
    play(Log(older), "ada", 1)
    play(Log(older), "bob", 0)
    after = read(older, "trainings", {"loop": "bob", "state": "finished"})
    assert after["files"].null_count() == 0
    assert same(facts(older), facts(Lake(older.root)))
