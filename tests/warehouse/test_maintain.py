"""Promises of maintenance: it frees what nothing needs, nothing else, at any time and beside any round."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from schemas.errors import LakeBusy, LogDamaged
from schemas.tables import TABLES
from schemas.units import Unit
from tests.tally import trial
from tests.warehouse.campaign import in_process
from tests.warehouse.conftest import prompts
from tests.warehouse.damage import changed
from tests.warehouse.processes import CONTEXT, process
from tests.warehouse.story import facts, play, same, shards
from warehouse.delta.datafile import DataFile, write_rows
from warehouse.delta.seals import find_seal
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.maintain import maintain
from warehouse.query import read
from warehouse.verify.lake import verify_lake

HOUR = 3600


def retired(lake: Lake) -> set[str]:
    """Files of the tables that no newest version names."""
    files = [Path(file) for table in lake.versions() for file in lake.files(table)]
    names = {file.relative_to(lake.root).as_posix() for file in files}
    return (
        {e.name for e in lake.store.entries("tables") if e.name.endswith(".parquet")}
        - names
        - {e.name for e in lake.store.entries("tables") if "/_delta_log/" in e.name}
    )


def aged(lake: Lake, name: str, hours: float) -> None:
    """Make a file as old as that."""
    then = time.time() - hours * HOUR
    os.utime(lake.root / name, (then, then))


def orphan(lake: Lake) -> str:
    """What a writer that was killed before its commit leaves."""
    unit = Unit("ada", 2, "killed")
    shared = {"loop": "ada", "round": 2, "unit": unit.key}
    rows = prompts(unit).with_columns(*(pl.lit(v).alias(k) for k, v in shared.items()))
    whole = rows.with_columns(recorded_at=pl.lit(0).cast(pl.Datetime("us", "UTC")))
    absent = [pl.lit(None).alias(name) for name in TABLES["prompts"].polars if name not in whole.columns]
    table = TABLES["prompts"]
    frame = whole.with_columns(*absent).select(list(table.polars)).cast(table.polars)
    file = write_rows(lake.store, table, frame)
    assert file is not None
    return file.name


def test_what_is_retired_or_orphaned_goes_and_the_facts_stay(full: Lake) -> None:
    before, gone = facts(full), retired(full) | {orphan(full)}
    report = maintain(Log(full), keep_hours=0, least_hours=0)
    assert set(report.freed) == gone
    assert len(gone) > 20
    assert not any((full.root / name).exists() for name in gone)
    assert same(facts(full), before)
    assert verify_lake(full, deep=True).items == []
    assert maintain(Log(full), keep_hours=0).freed == []


def test_what_is_younger_than_the_limit_stays(full: Lake) -> None:
    old, young = orphan(full), orphan(full)
    aged(full, old, 25)
    aged(full, young, 23)
    assert maintain(Log(full)).freed == [old]
    assert (full.root / young).exists()


def test_what_a_writer_may_be_about_to_commit_stays_whatever_is_asked(full: Lake) -> None:
    """A maintenance that comes between a data file and its commit frees nothing of it."""
    held_up, sleeper = orphan(full), "spare/.compacting-1.parquet"
    (full.root / "spare").mkdir(exist_ok=True)
    (full.root / sleeper).write_text("half")
    freed = maintain(Log(full), keep_hours=0).freed
    assert retired(full) == {held_up}
    assert freed
    assert sleeper not in freed
    for name in (held_up, sleeper):
        aged(full, name, 1.1)
    assert maintain(Log(full), keep_hours=0).freed == [held_up, sleeper]


def test_a_file_that_waited_long_for_its_commit_is_written_again(
    full: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, commits, files = Log(full), iter((False, True)), []

    def commit(self: Log, delta: object, kind: object, file: DataFile, units: object) -> None:
        files.append(file.name)
        if next(commits):
            return whole(self, delta, kind, file, units)  # type: ignore[arg-type]
        full.store.delete(file.name)  # a maintenance of an hour later
        raise CommitFailedError("somebody was faster")

    whole = Log._commit
    monkeypatch.setattr(Log, "_commit", commit)
    monkeypatch.setattr("warehouse.log.STALE", -1.0)
    unit = Unit("bob", 2, "slow")
    assert log.once(unit, "prompts", lambda: prompts(unit)).height == 5
    assert len(set(files)) == 2
    assert read(full, "prompts", {"unit": unit.key}).height == 5
    assert verify_lake(full).clean


def test_a_dry_run_says_the_same_and_does_nothing(full: Lake) -> None:
    play(Log(full), "ada", 2)
    there = [entry.name for entry in full.store.entries("") if not entry.name.startswith("locks/")]
    plan = maintain(Log(full), keep_hours=0, dry_run=True)
    assert there == [entry.name for entry in full.store.entries("") if not entry.name.startswith("locks/")]
    assert plan.sealed == ["ada"]
    assert set(plan.freed) == retired(full)
    report = maintain(Log(full), keep_hours=0)
    assert report.sealed == ["ada/2"]
    assert set(plan.freed) <= set(report.freed)


@pytest.mark.parametrize("name", ["tables/prompts/loop=ada/round=0/mine.parquet", "tables/prompts/notes.txt"])
def test_what_is_not_the_lakes_is_left_and_named(full: Lake, name: str) -> None:
    (full.root / name).write_text("mine")
    aged(full, name, 1000)
    report = maintain(Log(full), keep_hours=0)
    assert (full.root / name).read_text() == "mine"
    assert any(line.startswith(name) for line in report.untouched)


def test_half_written_files_of_killed_writers_go(full: Lake) -> None:
    leftovers = [
        f"snapshots/new/.examples.parquet.{'0' * 32}",
        f"trainings/new/.result.json.{'0' * 32}",
        "spare/.compacting-1.parquet",
        f"seals/ada/.00002.json.{'0' * 32}",
    ]
    for name in leftovers:
        (full.root / name).parent.mkdir(parents=True, exist_ok=True)
        (full.root / name).write_text("half")
    assert verify_lake(full).clean
    assert set(leftovers) <= set(maintain(Log(full), keep_hours=0, least_hours=0).freed)
    assert verify_lake(full, deep=True).items == []


def test_a_damaged_log_frees_nothing_of_its_table(full: Lake) -> None:
    entry = sorted((full.root / full.log("scores")).glob("*.json"))[3]
    with changed(entry, entry.read_bytes().replace(b'"rows"', b'"rovs"')):
        report = maintain(Log(full), keep_hours=0)
        assert not any(name.startswith("tables/scores/") for name in report.freed)
        assert any("table scores: its log is damaged" in line for line in report.untouched)
    newest = sorted((full.root / full.log("decisions")).glob("*.json"))[-1]
    newest.unlink()  # a lost commit makes live files look like leftovers
    live = {entry.name for entry in full.store.entries("tables/decisions")}
    maintain(Log(full), keep_hours=0)
    assert {entry.name for entry in full.store.entries("tables/decisions")} == live


def test_a_damaged_seal_frees_nothing_at_all(full: Lake) -> None:
    (full.root / "seals" / "ada" / "00000.json").write_bytes(b"{}")
    with pytest.raises(LogDamaged, match="nothing is freed"):
        maintain(Log(full), keep_hours=0)
    assert retired(full)


def test_a_second_maintenance_at_once_is_told_who_is_at_work(full: Lake) -> None:
    with (
        full.store.exclusive("maintain", wait=False),
        pytest.raises(LakeBusy, match=f"process {os.getpid()}"),
    ):
        maintain(Log(full))


def test_a_sealed_version_still_reads_after_maintenance(full: Lake) -> None:
    maintain(Log(full), keep_hours=0)
    for name in TABLES:
        seal = find_seal(full.store, "ada", 1)
        assert seal is not None
        table = seal.tables[name]
        then = read(full, name, {"loop": "ada", "round": 1}, version=table.version)
        assert then.height == table.rows
        assert set(full.file_names(name, {"loop": "ada", "round": 1})) == {file.name for file in table.files}


def _append_all_the_time(root: Path, count: int, begun: object) -> None:
    log = Log(Lake(root))
    for shard in range(count):
        unit = Unit("bob", 2, "busy", shard)
        log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
        begun.set()  # type: ignore[attr-defined]


def test_it_runs_beside_a_writer_that_never_rests(full: Lake) -> None:
    begun = CONTEXT.Event()
    writer = process(_append_all_the_time, full.root, 40, begun)
    writer.start()
    begun.wait(60)
    play(Log(full), "ada", 2)
    rounds = 0
    while writer.is_alive():
        maintain(Log(full), keep_hours=0.01)
        rounds += 1
    writer.join()
    assert writer.exitcode == 0
    assert rounds > 0
    assert read(full, "prompts", {"unit": [Unit("bob", 2, "busy", n).key for n in range(40)]}).height == 200
    assert find_seal(full.store, "ada", 2) is not None
    assert verify_lake(full, deep=False).clean


def test_killed_in_the_middle_it_goes_on_the_next_time(full: Lake) -> None:
    before, gone = facts(full), retired(full)
    for fault in ("maintain: file freed", "maintain: file freed#4"):
        with trial("maintenance killed"):
            assert in_process(full.root, free_now, fault) == -signal.SIGKILL
            assert same(facts(full), before)
            assert verify_lake(full).clean
    assert in_process(full.root, free_now) == 0
    assert not any((full.root / name).exists() for name in gone)
    assert Log(full).once(shards("ada", 0, "generate")[0], "candidates", pl.DataFrame).height == 4
    assert verify_lake(full, deep=True).items == []


def free_now(lake: Lake) -> None:
    maintain(Log(lake), keep_hours=0)
