"""Promises that hold for any order of work: the lake is what was put into it, once, whatever came between."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas.errors import RoundSealed
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.story import HASH, play
from warehouse import seal as seal_room
from warehouse.delta.journal import LogEntry, digest_of
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.maintain import maintain
from warehouse.query import read
from warehouse.verify.lake import verify_lake

LOOP = "ada"
SHARDS = 4
BACK = st.integers(0, 2)  # rounds before the present one


class AnyOrderOfWork(RuleBasedStateMachine):
    """Appends, groups, empty units, reopening, closing, sealing and maintaining, against a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.log = Log(Lake.create(Path(self.folder.name) / "lake"))
        self.model: dict[str, set[str]] = {}  # unit -> ids of its rows
        self.round = 0
        self.sealed = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(
        shards=st.sets(st.integers(0, SHARDS - 1), min_size=1), rows=st.integers(0, 3), back=st.integers(0, 2)
    )
    def append(self, shards: set[int], rows: int, back: int) -> None:
        """Some units of this round or an earlier one, together, of which the log may hold a part."""
        number = max(0, self.round - back)
        units = [Unit(LOOP, number, "work", shard) for shard in sorted(shards)]
        fresh = [unit for unit in units if unit.key not in self.model]
        calls: list[Unit] = []

        def compute(missing: list[Unit]) -> list[pl.DataFrame]:
            calls.extend(missing)
            return [prompts(unit, rows) for unit in missing]

        if fresh and number < self.sealed:
            try:
                self.log.once_each(units, "prompts", compute)  # type: ignore[arg-type]
            except RoundSealed:
                assert calls == []
                return
            raise AssertionError("a sealed round took more")
        frame = self.log.once_each(units, "prompts", compute)  # type: ignore[arg-type]
        assert calls == fresh
        for unit in fresh:
            self.model[unit.key] = set(prompts(unit, rows)["prompt_id"])
        assert set(frame["prompt_id"]) == set().union(*(self.model[unit.key] for unit in units))

    @rule()
    def reopen(self) -> None:
        """As a process that begins."""
        self.log = Log(Lake(self.log.lake.root))

    @rule()
    @precondition(lambda self: self.round < 3)
    def close(self) -> None:
        """The round ends and the next begins."""
        for number, state in ((self.round, "finished"), (self.round + 1, "started")):
            unit = Unit(LOOP, number, state)
            self.log.once(unit, "rounds", lambda unit=unit, state=state: event(unit, state))  # type: ignore[misc]
        self.round += 1

    @rule()
    def maintain(self) -> None:
        """Seal what is closed, free what nothing needs."""
        maintain(self.log, keep_hours=0)
        self.sealed = self.round

    @invariant()
    def the_lake_is_the_model(self) -> None:
        """Row for row, and clean."""
        rows = read(self.log.lake, "prompts")
        ids_by_unit = {key: set(part["prompt_id"]) for (key,), part in rows.group_by("unit")}
        assert ids_by_unit == {key: ids for key, ids in self.model.items() if ids}
        assert rows.height == sum(map(len, self.model.values()))
        assert verify_lake(self.log.lake).clean


def event(unit: Unit, state: str) -> pl.DataFrame:
    """A row of table rounds."""
    row = {
        "event_id": [f"{unit.key}-{state}"],
        "state": state,
        "recipe": "rft",
        "recipe_hash": "r",
        "recipe_values": "{}",
        "night_begins": 0,
        "night_ends": 9,
        "champion_in": HASH,
        "champion_out": HASH,
    }
    return pl.DataFrame(row)


AnyOrderOfWork.TestCase.settings = settings(
    max_examples=8, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrderOfWork = AnyOrderOfWork.TestCase


def _entry(version: int, told: dict[str, object], actions: list[dict[str, object]]) -> LogEntry:
    description = told | {"digest": digest_of(told)}
    info = {"commitInfo": {"ratchet": description}}
    return LogEntry(f"{version:020d}.json", version, "", (info, *actions))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ada", "bob"]),
        st.integers(0, 3),  # round
        st.integers(0, 5),  # rows; none: an empty unit
        st.booleans(),  # a compaction of what the partition holds by then
    ),
    max_size=30,
)


@given(STEPS, st.integers(0, 3))
def test_a_rounds_history_is_the_sum_of_what_the_log_says(
    steps: list[tuple[str, int, int, bool]], number: int
) -> None:
    entries, files, units, later = [], {}, [], None
    for version, (loop, round_number, rows, compacts) in enumerate(steps):
        folder = f"loop={loop}/round={round_number}"
        path = f"{folder}/part-{version}.parquet"
        mine = (loop, round_number) == ("ada", number)
        unit = f"{loop}/{round_number:05d}/work/{version:05d}/-"
        description: dict[str, object] = {"units": [unit]}
        actions: list[dict[str, object]] = []
        if rows:
            sha256 = hashlib.sha256(path.encode()).hexdigest()
            description["files"] = {path: {"sha256": sha256, "size": 9, "rows": rows}}
        if compacts and mine:
            actions = [{"remove": {"path": name}} for name in files]
            files.clear()
        if mine:
            units.append(unit)
            files |= {path: rows} if rows else {}
        if loop == "ada" and round_number > number and later is None:
            later = version
        entries.append(_entry(version, description, actions))
    history = seal_room.history("prompts", entries, "ada", number)
    assert {file.name: file.rows for file in history.files} == {
        f"tables/prompts/{path}": rows for path, rows in files.items()
    }
    assert history.units == units
    assert history.later == later


@settings(max_examples=3, deadline=None)
@given(st.integers(1, 2), st.booleans(), st.booleans())
def test_a_loops_state_is_that_of_its_last_round_sealed_or_not(
    rounds: int, is_open: bool, sealed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.create(Path(folder) / "lake")
        log = Log(lake)
        assert fold(lake, LOOP) is None
        for number in range(rounds):
            play(log, LOOP, number, closes=not (is_open and number == rounds - 1))
        play(log, "bob", 0)
        before = fold(lake, LOOP)
        assert before is not None
        if sealed:
            maintain(log, keep_hours=0)
        after = fold(Lake(lake.root), LOOP)
        assert after == before
        assert after.next_round == rounds - is_open
        assert (after.open_recipe is not None) == is_open
        assert after.unfinished == (is_open or rounds < 3)
        champions = read(lake, "rounds", {"loop": LOOP, "round": rounds - 1}).sort("recorded_at")
        last = champions.row(-1, named=True)
        assert after.champion.id == (last["champion_in"] if is_open else last["champion_out"])
        assert json.dumps(after.last_recipe) == "{}"
