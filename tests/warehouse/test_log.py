"""Promises of the log: once by unit, durable, hashed at birth, refused when it would lose facts."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from schemas.errors import LogDamaged, UnitConflict
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.processes import CONTEXT, process
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read

UNIT = Unit("loop", 3, "admit")


def refuse() -> pl.DataFrame:
    raise AssertionError("the log held the unit, and yet it was computed again")


def test_a_unit_is_computed_once_and_read_ever_after(log: Log) -> None:
    first = log.once(UNIT, "prompts", lambda: prompts(UNIT))
    again = Log(log.lake).once(UNIT, "prompts", refuse)
    assert first.height == 5
    assert again.equals(first)


def test_rows_come_back_to_the_character_and_typed_as_the_schema(log: Log) -> None:
    made = prompts(UNIT)
    log.once(UNIT, "prompts", lambda: made)
    rows = read(log.lake, "prompts", {"loop": "loop"})
    assert rows.schema == TABLES["prompts"].polars
    assert rows.sort("line")["text"].to_list() == made["text"].to_list()


def test_a_unit_without_rows_is_done_all_the_same(log: Log) -> None:
    assert log.once(UNIT, "prompts", lambda: prompts(UNIT, 0)).is_empty()
    assert log.holds(UNIT, "prompts")
    assert log.once(UNIT, "prompts", refuse).is_empty()


def test_several_units_land_in_one_commit_and_only_missing_ones_are_computed(log: Log) -> None:
    units = [Unit("loop", 3, "admit", shard) for shard in range(4)]
    log.once(units[1], "prompts", lambda: prompts(units[1]))
    units_asked: list[Unit] = []

    def compute(missing: list[Unit]) -> list[pl.DataFrame]:
        units_asked.extend(missing)
        return [prompts(unit) for unit in missing]

    rows = log.once_each(units, "prompts", compute)
    assert units_asked == [units[0], units[2], units[3]]
    assert rows.height == 20
    assert rows["prompt_id"].n_unique() == 20
    delta = log.lake.open("prompts")
    assert delta is not None
    assert delta.version() == 2  # created, one unit, three units


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda rows: pl.concat([rows, rows.head(1)]), "stands twice"),
        (lambda rows: rows.with_columns(extra=pl.lit(1)), "no column 'extra'"),
        (lambda rows: rows.drop("text"), "text lacks a value"),
        (lambda rows: rows.with_columns(line=pl.lit("x")), "conversion"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(log: Log, damage, why) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnitConflict, match=why):
        log.once(UNIT, "prompts", lambda: damage(prompts(UNIT)))
    assert not log.holds(UNIT, "prompts")
    assert not list(log.lake.root.rglob("*.parquet"))


def _race(root: Path, start: object, shards: range) -> None:
    log = Log(Lake(root))
    start.wait()  # type: ignore[attr-defined]
    for shard in shards:
        unit = Unit("loop", 0, "race", shard)
        rows = log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
        assert rows.height == 5, (rows.height, unit.key, rows)


def test_the_same_units_from_four_processes_land_once(log: Log) -> None:
    start = CONTEXT.Barrier(4)
    racers = [process(_race, log.lake.root, start, range(8)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * 4
    rows = read(log.lake, "prompts")
    assert rows.height == 40
    assert rows["prompt_id"].n_unique() == 40
    on_disk = {str(path) for path in log.lake.table_path("prompts").rglob("part-*.parquet")}
    assert on_disk == set(log.lake.files("prompts")), "a lost race leaves no file behind"


KILLED = """
import sys
from pathlib import Path
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.processes import CONTEXT, process
from warehouse.lake import Lake
from warehouse.log import Log
unit = Unit("loop", 3, "admit")
Log(Lake(Path(sys.argv[1]))).once(unit, "prompts", lambda: prompts(unit))
"""


@pytest.mark.parametrize("point", ["append prompts: file written", "append prompts: committed"])
def test_an_append_killed_at_any_point_is_done_once_by_the_next_try(log: Log, point: str) -> None:
    environment = os.environ | {"RATCHET_FAULT": point, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(log.lake.root)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    rows = read(log.lake, "prompts")
    assert rows.height == 5
    assert rows["prompt_id"].n_unique() == 5


def test_every_file_stands_with_its_hash_in_the_commit_that_brought_it(log: Log) -> None:
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    delta = log.lake.open("prompts")
    assert delta is not None
    described = delta.history(1)[0]["ratchet"]
    described = json.loads(described) if isinstance(described, str) else described
    ((name, facts),) = described["files"].items()
    data = (log.lake.table_path("prompts") / name).read_bytes()
    assert facts == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "rows": 5}
    assert described["units"] == [UNIT.key]


@pytest.mark.parametrize("content", [b"", b"  \n", b'{"commitInfo":'])
def test_an_empty_or_torn_log_entry_stops_reads_and_appends(log: Log, content: bytes) -> None:
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    entries = sorted((log.lake.table_path("prompts") / "_delta_log").glob("*.json"))
    entries[-1].write_bytes(content)
    with pytest.raises(LogDamaged, match=entries[-1].name):
        read(log.lake, "prompts")
    other = Unit("loop", 4, "admit")
    with pytest.raises(LogDamaged, match=entries[-1].name):
        log.once(other, "prompts", lambda: prompts(other))


def test_a_missing_log_entry_is_named(log: Log) -> None:
    for shard in range(3):
        unit = Unit("loop", 3, "admit", shard)
        log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
    (log.lake.table_path("prompts") / "_delta_log" / f"{2:020d}.json").unlink()
    with pytest.raises(LogDamaged, match="entry 2 is missing"):
        read(log.lake, "prompts")


def test_facts_cannot_be_deleted_through_delta(log: Log) -> None:
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    delta = log.lake.open("prompts")
    assert delta is not None
    with pytest.raises(Exception, match=r"(?i)append"):
        delta.delete("line = 1")
    assert read(log.lake, "prompts").height == 5


def test_a_lake_reads_as_of_a_version(log: Log) -> None:
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    then = log.lake.versions()["prompts"]
    other = Unit("loop", 4, "admit")
    log.once(other, "prompts", lambda: prompts(other))
    assert read(log.lake, "prompts", version=then).height == 5
    assert read(log.lake, "prompts").height == 10


def test_a_lost_race_beside_an_empty_unit_doubles_nothing(log: Log) -> None:
    """Two units in one commit, one of them empty; another writer lands the full one first."""
    full, empty = Unit("loop", 3, "admit", 0), Unit("loop", 3, "admit", 1)

    def compute(missing: list[Unit]) -> list[pl.DataFrame]:
        Log(log.lake).once(full, "prompts", lambda: prompts(full))
        return [prompts(unit, 5 if unit == full else 0) for unit in missing]

    assert log.once_each([full, empty], "prompts", compute).height == 5
    assert log.holds(empty, "prompts")
    rows = read(log.lake, "prompts")
    assert rows.height == rows["prompt_id"].n_unique() == 5


def test_a_look_sees_what_other_processes_committed_since_its_handle_was_kept(log: Log) -> None:
    """Past a checkpoint too, of which the log makes one every ten commits."""
    looked, other = Log(Lake(log.lake.root)), Log(Lake(log.lake.root))
    units = [Unit("loop", 3, "admit", shard) for shard in range(24)]
    other.once(units[0], "prompts", lambda: prompts(units[0]))
    assert not looked.holds(units[1], "prompts")
    for unit in units[1:12]:
        other.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
    for unit in units[:12]:
        assert looked.once(unit, "prompts", refuse).height == 5
    for unit in units[12:]:
        writer, reader = (looked, other) if unit.shard % 2 else (other, looked)
        writer.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
        assert reader.once(unit, "prompts", refuse).height == 5
    assert read(log.lake, "prompts")["prompt_id"].n_unique() == 5 * len(units)


def test_a_log_that_was_written_anew_is_opened_anew(log: Log) -> None:
    log.once(UNIT, "prompts", lambda: prompts(UNIT))
    assert log.holds(UNIT, "prompts")
    entry = log.lake.table_path("prompts") / "_delta_log" / f"{1:020d}.json"
    entry.write_bytes(entry.read_bytes())
    assert log.once(UNIT, "prompts", refuse).height == 5


def test_two_threads_with_one_lake_write_a_unit_once(log: Log) -> None:
    units = [Unit("loop", 3, "admit", shard) for shard in range(6)]
    with ThreadPoolExecutor(4) as threads:
        for unit in units:
            tries = [threads.submit(log.once, unit, "prompts", lambda u=unit: prompts(u)) for _ in range(4)]
            assert all(one.result().equals(tries[0].result()) for one in tries)
    assert read(log.lake, "prompts").height == 5 * len(units)
