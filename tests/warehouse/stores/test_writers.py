"""Many writers at once: in a folder and in a bucket alike, every unit lands exactly once."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from schemas.errors import BadInput, LakeError, RoundSealed, SchemaMismatch
from schemas.identity import prompt_id, round_event_id
from schemas.units import Unit
from tests.warehouse.processes import CONTEXT, process
from warehouse.lake import Lake, names_of
from warehouse.log import Log
from warehouse.maintain import maintain
from warehouse.query import read
from warehouse.seal import seal_rounds
from warehouse.session import Session
from warehouse.store.open import open_store
from warehouse.verify.lake import verify_lake


@dataclass(frozen=True)
class Race:
    """Writers, the units that each brings, of so many in all, and how many go into one commit."""

    writers: int
    units: int
    shared: int
    groups: tuple[int, ...]


RACES = {"folder": Race(8, 50, 110, (1, 24, 1, 24)), "bucket": Race(5, 14, 30, (1, 6, 1, 6))}


def rows(unit: Unit, count: int = 3) -> pl.DataFrame:
    """Prompts whose ids follow from what they are, as `verify --deep` holds them to."""
    texts = [f"{unit.key}: {n}, ünïcode \x00 '\"" for n in range(count)]
    ids = [prompt_id(unit.round, unit.loop, "train", "test", n, text) for n, text in enumerate(texts)]
    return pl.DataFrame(
        {"prompt_id": ids, "split": "train", "source": "test", "line": range(count), "text": texts},
        schema_overrides={"prompt_id": pl.String, "text": pl.String, "line": pl.Int64},
    )


def close(log: Log, number: int) -> None:
    """Close a round of loop "many"."""
    for state in ("started", "finished"):
        event = {
            "event_id": round_event_id(number, "many", "started" if state == "started" else "closed"),
            "state": state,
            "recipe": "rft",
            "recipe_hash": "none",
            "recipe_values": "{}",
            "night_begins": 0,
            "night_ends": 1,
            "champion_in": "ckpt-0",
        }
        unit = Unit("many", number, state)
        log.once(unit, "rounds", lambda event=event: pl.DataFrame(event))  # type: ignore[misc]


def files_of(lake: Lake) -> list[str]:
    """Names of the files that hold the prompts."""
    delta = lake.open("prompts")
    assert delta is not None
    return names_of(delta, "prompts")


def mine(race: Race, writer: int) -> list[int]:
    """A writer's units: some that others write too, in an order of its own."""
    lots = random.Random(writer)
    return lots.sample(range(race.shared), race.units)


def _write(where: str, start: Any, race: Race, writer: int) -> None:
    log = Log(Lake(where))
    units = [Unit("many", 0, "admit", shard) for shard in mine(race, writer)]
    start.wait()
    for size in race.groups:
        group, units = units[:size], units[size:]
        frame = log.once_each(group, "prompts", lambda missing: [rows(unit) for unit in missing])
        assert frame.height == 3 * len(group), (frame.height, group)
    assert not units


def test_writers_that_race_for_the_same_units_land_every_unit_once(where: str, log: Log) -> None:
    """In a folder eight with fifty units each; in a bucket fewer, for its server here is slow."""
    race = RACES["bucket" if "://" in where else "folder"]
    start = CONTEXT.Barrier(race.writers)
    writers = [process(_write, where, start, race, n) for n in range(race.writers)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * race.writers
    units = {Unit("many", 0, "admit", shard).key for n in range(race.writers) for shard in mine(race, n)}
    assert len(units) < race.writers * race.units / 2, "the writers must have raced"
    frame = read(log.lake, "prompts")
    assert set(frame["unit"]) == units
    assert frame.height == frame["prompt_id"].n_unique() == 3 * len(units)
    stored = {e.name for e in log.lake.store.entries("tables/prompts") if "/part-" in e.name}
    assert stored == set(files_of(log.lake)), "a lost race leaves no file behind"
    findings = verify_lake(log.lake, deep=True)
    assert findings.items == []


def test_a_unit_is_read_where_the_log_holds_it_and_may_be_empty(where: str, log: Log) -> None:
    unit, empty = Unit("many", 0, "admit"), Unit("many", 0, "nothing")
    first = log.once(unit, "prompts", lambda: rows(unit))
    assert log.once(empty, "prompts", lambda: rows(empty, 0)).is_empty()

    def refuse() -> pl.DataFrame:
        raise AssertionError("the log held the unit, and yet it was computed again")

    again = Log(Lake(where))
    assert again.once(unit, "prompts", refuse).equals(first)
    assert again.once(empty, "prompts", refuse).is_empty()
    assert Session(again.lake).rows("SELECT count(*) AS n FROM prompts WHERE text LIKE '%ünïcode%'") == [
        {"n": 3}
    ]


def test_a_lake_is_made_where_nothing_is_and_nowhere_else(where: str) -> None:
    assert not Lake.check(where)
    with pytest.raises(LakeError, match="no lake at"):
        Lake(where)
    assert open_store(where).entries("") == [], "asking makes nothing"
    lake = Lake.create(where)
    assert Lake.check(where)
    assert Lake.create(where).where == lake.where == where
    lake.store.replace("lake.json", json.dumps({"format": 99}).encode())
    with pytest.raises(SchemaMismatch, match="99"):
        Lake.create(where)


def test_a_place_with_other_files_is_refused_and_left_alone(where: str) -> None:
    store = open_store(where)
    store.home.mkdir(parents=True, exist_ok=True)
    store.put_new("notes.txt", b"mine")
    for ask in (Lake.check, Lake.create):
        with pytest.raises(BadInput, match="holds other files"):
            ask(where)
    assert [entry.name for entry in store.entries("")] == ["notes.txt"]


def test_a_closed_round_is_sealed_verified_and_its_old_files_freed(where: str, log: Log) -> None:
    for shard in range(4):
        unit = Unit("many", 0, "admit", shard)
        log.once(unit, "prompts", lambda unit=unit: rows(unit))  # type: ignore[misc]
    close(log, 0)
    before = read(log.lake, "prompts").drop("recorded_at").sort("prompt_id")
    assert [seal.round for seal in seal_rounds(log, "many")] == [0]
    again = Log(Lake(where))
    assert len(files_of(again.lake)) == 1
    report = maintain(again, keep_hours=-0.001)  # a bucket's clock has whole seconds
    assert len([name for name in report.freed if name.startswith("tables/prompts/")]) == 4
    assert report.untouched == []
    assert verify_lake(again.lake).items == []
    assert read(again.lake, "prompts").drop("recorded_at").sort("prompt_id").equals(before)
    unit = Unit("many", 0, "late")
    with pytest.raises(RoundSealed, match="round 0 of loop many is sealed"):
        again.once(unit, "prompts", lambda: rows(unit))


@pytest.mark.parametrize("what", ["changed", "missing", "foreign"])
def test_a_file_that_is_not_what_was_written_is_named(where: str, log: Log, what: str) -> None:
    unit = Unit("many", 0, "admit")
    log.once(unit, "prompts", lambda: rows(unit))
    store = open_store(where)
    (name,) = files_of(log.lake)
    if what == "missing":
        store.delete(name)
    elif what == "changed":
        data = bytearray(store.get(name))
        data[len(data) // 2] ^= 1
        store.replace(name, bytes(data))
    else:
        name = name.replace("part-", "stray-")
        store.replace(name, b"not ours")
    findings = verify_lake(Lake(where))
    assert not findings.clean
    assert [finding.where for finding in findings.items] == [name]
