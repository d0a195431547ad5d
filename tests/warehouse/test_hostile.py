"""Promises on hostile values: whatever a model writes comes back to the bit, or is refused whole."""

from __future__ import annotations

import json
import math
import time
from datetime import datetime

import polars as pl
import pytest

from schemas.errors import LakeError, RatchetError
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from tests.warehouse.story import facts, play, same
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.seal import seal_rounds
from warehouse.verify.lake import verify_lake

TEXTS = {
    "NUL": "a\x00b\x00",
    "quotes": "it's \"so\" `it` $$x$$ \\' \\",
    "SQL": "'; DROP TABLE prompts; SELECT * FROM read_csv('/etc/passwd') --",
    "a path": "../../../../etc/passwd",
    "a folder of Delta": "loop=ada/round=0/%2e%2e/part.parquet",
    "doubled keys": '{"a": 1, "a": 2}',
    "numbers that are none": '{"a": NaN, "b": Infinity, "c": 1e999}',
    "depth": "[" * 200_000 + "]" * 200_000,
    "line ends": "a\r\n\u2028\u2029\x85\x1e b",
    "right to left": "\u202e\u2066abc\u200b\ufeff",
    "unassigned": "\U0010ffff\ufffe\ufdd0",
    "nothing": "",
    "blanks": " \t\n",
    "template": "{0} {unit} %s ${HOME} $(id)",
}
FLOATS = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, None]


def score_rows(unit: Unit, ids: list[str], values: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "score_id": [f"{unit.shard}-{one}" for one in ids],
            "candidate_id": ids,
            "prompt_id": ids,
            "verifier": "maths",
            "verifier_version": "1",
            "verifier_kind": "rule",
            "outcome": "pass",
            "value": pl.Series(values, dtype=pl.Float64),
        }
    )


def _closed(lake: Lake, unit: Unit) -> None:
    """Close and seal the round that holds a unit."""
    play(Log(lake), unit.loop, unit.round)
    seal_rounds(Log(lake), unit.loop)


def test_any_text_comes_back_to_the_byte_also_from_a_sealed_round(log: Log) -> None:
    unit = Unit("ada", 0, "hostile")
    texts = [*TEXTS.values(), "x" * 10_000_000]
    rows = prompts(unit, len(texts)).with_columns(text=pl.Series(texts), topic=pl.Series(texts))
    log.once(unit, "prompts", lambda: rows)
    for sealed in (False, True):
        if sealed:
            _closed(log.lake, unit)
        frame = log.rows([unit], "prompts").sort("line")
        assert frame["text"].to_list() == texts
        assert frame["topic"].to_list() == texts
    assert verify_lake(log.lake).items == []


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_may_be_an_id_and_finds_its_row_and_no_other(log: Log, name: str) -> None:
    unit, value = Unit("ada", 0, "hostile"), TEXTS[name]
    log.once(unit, "scores", lambda: score_rows(unit, [value, "other"], [1.0, 2.0]))
    assert read(log.lake, "scores", {"candidate_id": value})["value"].to_list() == [1.0]
    assert read(log.lake, "scores", {"candidate_id": [value, "x"]})["value"].to_list() == [1.0]
    assert read(log.lake, "scores", {"candidate_id": value + "x"}).is_empty()
    assert read(log.lake, "scores", {"candidate_id": "other"})["value"].to_list() == [2.0]
    sql = "SELECT value FROM scores WHERE candidate_id = $id"
    assert query(log.lake, sql, {"id": value})["value"].to_list() == [1.0]
    assert verify_lake(log.lake).items == []
    inside = {entry.name.split("/")[0] for entry in log.lake.store.entries("")}
    assert inside <= {"lake.json", "tables", "heads"}


@pytest.mark.parametrize("value", ["a\ud800b", "\udcff"])
def test_a_lone_surrogate_is_refused_before_anything_is_written(log: Log, value: str) -> None:
    """No UTF-8 holds it. The step that reads a model's text replaces it; one that does not, fails whole."""
    unit = Unit("ada", 0, "hostile")
    with pytest.raises((UnicodeEncodeError, RatchetError)):
        log.once(unit, "prompts", lambda: prompts(unit, 1).with_columns(text=pl.Series([value])))
    assert not log.holds(unit, "prompts")
    assert not list(log.lake.root.rglob("*.parquet"))


def test_numbers_that_are_none_come_back_as_they_were(log: Log) -> None:
    unit = Unit("ada", 0, "hostile")
    ids = [f"c{i}" for i in range(len(FLOATS))]
    log.once(unit, "scores", lambda: score_rows(unit, ids, FLOATS))
    for sealed in (False, True):
        if sealed:
            _closed(log.lake, unit)
        values = log.rows([unit], "scores")["value"].to_list()
        assert [repr(value) for value in values] == [repr(value) for value in FLOATS]
    assert verify_lake(log.lake).items == []


@pytest.mark.parametrize("loop", ["../x", "a/b", "", "A", "a b", "a'b", "é", "-a", "a" * 65, "a\n", "\x00"])
def test_a_loops_name_cannot_leave_its_folder(loop: str) -> None:
    with pytest.raises(RatchetError, match="a loop's name"):
        Unit(loop, 0, "admit")


def test_any_name_of_a_loop_keeps_its_keys_apart_from_the_lakes_own(lake: Lake) -> None:
    """And apart from those of the others: all of them are in one lake."""
    log, names = Log(lake), ("closed", "compacted", "sealed", "tables", "ada", "a" * 64)
    for name in names:
        play(log, name, 0)
        assert [seal.round for seal in seal_rounds(log, name)] == [0], name
    assert [read(lake, "prompts", {"loop": name}).height for name in names] == [4] * len(names)
    assert verify_lake(lake, deep=True).items == []


def test_a_clock_that_goes_backwards_neither_loses_nor_doubles(
    full: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To yesterday, and to 1970, as of a host that has lost its battery: keys do not seem old."""
    now, before = time.time(), facts(full)
    for number, back in enumerate((86_400.0, now - 3600)):
        with monkeypatch.context() as wrong:
            wrong.setattr(time, "time", lambda back=back: now - back)
            play(Log(full), "ada", 2, closes=False)
            unit = Unit("ada", 2, "clock", number)
            Log(full).once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
        assert Log(full).once(unit, "prompts", refuse).height == 5
    assert read(full, "prompts").height == before["prompts"].height + 10
    play(Log(full), "ada", 2)
    seal_rounds(Log(full), "ada")
    assert verify_lake(full, deep=False).items == []


def refuse() -> pl.DataFrame:
    raise AssertionError("the log held the unit, and yet it was computed again")


def test_a_clock_far_ahead_is_refused_because_keys_would_seem_to_have_expired(
    full: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, before = Unit("ada", 2, "clock"), facts(full)
    monkeypatch.setattr(time, "time", lambda: datetime(2060, 1, 1).timestamp())
    with pytest.raises(LakeError, match="clock says"):
        Log(full).once(unit, "prompts", lambda: prompts(unit))
    assert same(facts(full), before)


def test_values_that_look_like_deltas_own_statistics_stay_values(log: Log) -> None:
    unit = Unit("ada", 0, "hostile")
    ids = [json.dumps({"numRecords": 0, "minValues": {}}), "\\u0000", "null", "\x7f" * 300, "\U0010ffff" * 40]
    log.once(unit, "scores", lambda: score_rows(unit, ids, [float(i) for i in range(len(ids))]))
    for number, one in enumerate(ids):
        assert read(log.lake, "scores", {"candidate_id": one})["value"].to_list() == [float(number)]
    assert set(TABLES["scores"].statistics) >= {"candidate_id"}
