"""Promises of a person's SQL: it can be stopped, it streams, and every value is shown as what it is."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import signal
import threading
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from flows.cli import main
from schemas.errors import QueryError
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import views
from warehouse.session import Session, _far, described

ENDLESS = "SELECT count(*) FROM range(100000000) AS a, range(100000000) AS b WHERE a.range <> b.range"


@pytest.fixture
def filled(log: Log) -> Lake:
    unit = Unit("ada", 0, "admit")
    log.once(unit, "prompts", lambda: prompts(unit))
    return log.lake


def ask(lake: Lake, *arguments: str, text: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["sql", *arguments, "--lake", str(lake.root)], input=text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_runaway_query_ends_at_the_signal(filled: Lake, number: int) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    result = ask(filled, "--timeout", "60", ENDLESS)
    signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert "stopped" in result.stderr


def test_a_query_that_takes_too_long_is_told_and_the_next_one_runs(filled: Lake) -> None:
    result = ask(filled, "--timeout", "0.2", ENDLESS)
    assert result.exit_code == 2
    assert "more than 0.2 s" in result.stderr
    assert ask(filled, "--json", "--timeout", "60", "SELECT count(*) AS n FROM prompts").exit_code == 0


def test_the_first_rows_come_before_the_last_are_made(filled: Lake) -> None:
    with Session(filled, seconds=60).answer("SELECT range AS n FROM range(100000000000)") as answer:
        rows = answer.rows()
        assert [next(rows)["n"] for _ in range(3)] == [0, 1, 2]


def test_a_table_on_the_screen_is_cut_with_a_word(filled: Lake) -> None:
    result = ask(filled, "SELECT range AS n FROM range(30000)")
    assert len(result.stdout.splitlines()) < 520
    assert "500 of 30,000 rows" in result.stderr
    assert ask(filled, "--limit", "3", "SELECT range AS n FROM range(9)").stderr.startswith("3 of 9 rows")
    whole = ask(filled, "--limit", "0", "SELECT range AS n FROM range(600)")
    assert whole.stderr == ""
    assert "599" in whole.stdout
    assert len(json.loads(ask(filled, "--json", "SELECT range AS n FROM range(600)").stdout)) == 600


VALUES = """
    SELECT INTERVAL '3 days' AS span, '\\xAA'::BLOB AS bytes, 1.5 AS short, 12345678901234567.89 AS long,
           '99999-01-01'::DATE AS far, '2026-01-02'::DATE AS day, 170141183460469231731::HUGEINT AS huge,
           [1, NULL] AS list, {'a': INTERVAL '1 hour'} AS parts, NULL AS nothing, 'nan'::DOUBLE AS nan,
           [INTERVAL '1 day'] AS spans"""


def test_every_value_is_shown_as_what_it_is(filled: Lake) -> None:
    (row,) = json.loads(ask(filled, "--json", VALUES).stdout)
    assert row["span"] == "3 days"
    assert row["bytes"] == "\\xAA"
    assert row["short"] == 1.5
    assert row["long"] == "12345678901234567.89"
    assert row["far"] == "99999-01-01"
    assert row["day"] == "2026-01-02"
    assert row["huge"] == 170141183460469231731
    assert row["list"] == [1, None]
    assert row["spans"] == "[1 day]"
    assert row["nothing"] is None
    assert row["nan"] is None
    shown = ask(filled, "--lines", VALUES).stdout
    for text in ("3 days", "99999-01-01", "12345678901234567.89", "\\xAA"):
        assert text in shown


@pytest.mark.parametrize("end", ["; -- hi", ";/* x */", "; ;", " -- é;", "", "\n;\n"])
def test_what_stands_behind_a_query_changes_nothing(filled: Lake, end: str) -> None:
    query = "SELECT ';' AS text, INTERVAL 1 DAY AS span, 2 AS span"
    assert Session(filled).rows(query + end) == [{"text": ";", "span": "1 day", "span_1": 2}]


@given(st.integers(-719_162, 2_932_896))
def test_far_dates_are_written_by_the_same_calendar_as_near_ones(days: int) -> None:
    assert _far(days, pa.date32()) == (dt.date(1970, 1, 1) + dt.timedelta(days)).isoformat()


def test_rows_go_to_files_that_other_tools_read(filled: Lake, tmp_path: Path) -> None:
    sql = "SELECT range AS n, 'a,\"b' AS text, [range] AS list FROM range(25000)"
    for ending in (".csv", ".jsonl", ".parquet"):
        assert "25,000 rows" in ask(filled, "--to", str(tmp_path / f"all{ending}"), sql).stderr
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[24_999] == {"n": "24999", "text": 'a,"b', "list": "[24999]"}
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"n": 24_999, "text": 'a,"b', "list": [24_999]}
    frame = pl.read_parquet(tmp_path / "all.parquet")
    assert frame["n"].sum() == sum(range(25_000))
    assert frame.schema["list"] == pl.List(pl.Int64)
    ask(filled, "--limit", "12000", "--to", str(tmp_path / "some.parquet"), sql)
    assert pl.read_parquet(tmp_path / "some.parquet").height == 12_000
    assert {path.name for path in tmp_path.iterdir()} >= {"all.csv", "all.jsonl", "all.parquet"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "sql", "words"),
    [
        ("rows.txt", "SELECT 1 AS n", ".csv, .jsonl, .parquet"),
        ("nowhere/rows.csv", "SELECT 1 AS n", "cannot be written"),
        ("rows.csv", "SELECT error('half way') FROM range(3)", "half way"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line_and_no_file(
    filled: Lake, tmp_path: Path, name: str, sql: str, words: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = ask(filled, "--to", str(tmp_path / name), sql)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_misspelt_table_names_ours(filled: Lake) -> None:
    assert "did you mean prompts" in ask(filled, "SELECT * FROM prmpts").stderr
    assert "did you mean narrowing" in ask(filled, "SELECT * FROM narowing").stderr
    assert "lists what there is" in ask(filled, "SELECT * FROM zzz").stderr


@pytest.mark.parametrize("form", ["{}", "DESCRIBE {}", "describe table {};", "SHOW {}"])
def test_a_tables_name_shows_its_columns_and_what_they_mean(filled: Lake, form: str) -> None:
    rows = json.loads(ask(filled, "--json", form.format("scores")).stdout)
    assert [row["column"] for row in rows] == [column.name for column in TABLES["scores"].columns]
    assert {row["column"]: row["meaning"] for row in rows}["outcome"].startswith("pass, fail")


def test_everything_that_can_be_asked_can_be_described(filled: Lake) -> None:
    for name in ("examples", *TABLES, *views()):
        assert described(name) == name
        assert json.loads(ask(filled, "--json", name).stdout), name
    listed = ask(filled, "--json", "SHOW TABLES").stdout
    assert listed == ask(filled, "--json").stdout
    assert described("SELECT 1") is None
    assert described("nothing_here") is None


def test_comments_pivots_and_explanations_run_or_say_how(filled: Lake) -> None:
    assert json.loads(ask(filled, "--json", "-- what is there\nSELECT 1 AS n").stdout) == [{"n": 1}]
    assert ask(filled, "EXPLAIN ANALYZE SELECT * FROM prompts").exit_code == 0
    refused = ask(filled, "PIVOT prompts ON split USING count(*)").stderr
    form = refused[refused.index("FROM (") :]
    assert ask(filled, form).exit_code == 0, "the form that is named runs"
    assert "without options" in ask(filled, "EXPLAIN (FORMAT json) SELECT 1").stderr


def test_a_text_that_is_not_utf8_is_refused_in_one_line(filled: Lake) -> None:
    for result in (ask(filled, "-", text=b"SELECT '\xff'"), ask(filled, "SELECT '\udcff'")):
        assert result.exit_code == 2
        assert "not UTF-8" in result.stderr


def test_rows_wider_than_the_screen_come_by_line_and_no_id_is_broken(filled: Lake) -> None:
    shown = ask(filled, "SELECT * FROM prompts ORDER BY prompt_id").stdout
    ids = Session(filled).rows("SELECT prompt_id FROM prompts")
    assert all(row["prompt_id"] in shown for row in ids)
    assert "row 5" in shown
    with pytest.raises(QueryError, match="nested"):
        Session(filled).run("SELECT " + "abs(" * 400 + "1" + ")" * 400)
