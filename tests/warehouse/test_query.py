"""Promises of reading: pruned, typed, and for users locked to SELECT over the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import BadInput, LakeError, QueryError, SchemaMismatch
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import describe_views, query, read, views
from warehouse.session import Session


@pytest.fixture
def filled(log: Log) -> Lake:
    for number in range(4):
        unit = Unit("2024-01-01", number, "admit")
        log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
    return log.lake


def test_files_of_other_rounds_are_never_opened(filled: Lake) -> None:
    assert len(filled.files("prompts")) == 4
    assert len(filled.files("prompts", {"round": 2})) == 1
    one = read(filled, "prompts", {"round": 2})["prompt_id"][0]
    assert filled.files("prompts", {"prompt_id": one}) == filled.files("prompts", {"round": 2})


def test_an_orphan_file_is_not_a_fact(filled: Lake) -> None:
    known = Path(filled.files("prompts")[0])
    (known.parent / "part-orphan.parquet").write_bytes(known.read_bytes())
    assert read(filled, "prompts").height == 20


def test_a_loop_named_like_a_date_stays_text(filled: Lake) -> None:
    assert set(query(filled, "SELECT loop FROM prompts")["loop"]) == {"2024-01-01"}


@pytest.mark.parametrize("name", sorted([*TABLES, *views(), "examples"]))
def test_every_table_and_view_opens_on_an_empty_lake(lake: Lake, name: str) -> None:
    rows = Session(lake).run(f"SELECT * FROM {name}")
    assert rows.is_empty()
    if name in TABLES:
        assert rows.schema == TABLES[name].polars


def test_every_view_says_what_it_shows() -> None:
    assert len(describe_views()) >= 5
    assert all(len(text) > 20 for text in describe_views().values())


@pytest.mark.parametrize(
    "sql",
    [
        "DROP VIEW prompts",
        "COPY prompts TO '{0}/stolen.csv'",
        "EXPLAIN ANALYZE COPY prompts TO '{0}/stolen.csv'",
        "EXPLAIN (ANALYZE, FORMAT json) COPY prompts TO '{0}/stolen.csv'",
        "EXPLAIN (ANALYZE /* ) SELECT * FROM prompts -- */ ) COPY (SELECT 1 AS x) TO '{0}/stolen.csv'",
        "EXPLAIN /* SELECT */ COPY prompts TO '{0}/stolen.csv'",
        "EXPLAIN/**/SELECT 1; COPY prompts TO '{0}/stolen.csv'",
        "SELECT " + "abs(" * 400 + "1" + ")" * 400,
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('{0}/lake/tables/prompts/**/*.parquet')",
        "ATTACH '{0}/other.db'",
        "INSTALL httpfs",
        "SET threads = 1",
        "PRAGMA database_list",
        "CREATE TABLE t AS SELECT 1",
        "SELECT 1; SELECT 2",
        "",
        "SELEC 1",
        "SELECT * FROM nothing_here",
        "SELECT prompts.nothing FROM prompts",
        "SELECT * FROM prompts\x00",
    ],
)
def test_user_sql_can_only_select_from_the_lake(filled: Lake, tmp_path: Path, sql: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(QueryError) as refused:
        Session(filled).run(sql.format(tmp_path))
    assert "\n" not in str(refused.value)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_python_variables_are_no_tables(filled: Lake) -> None:
    secret = prompts(Unit("other", 0, "x"))
    assert secret.height
    with pytest.raises(QueryError, match="secret"):
        Session(filled).run("SELECT * FROM secret")


@pytest.mark.parametrize(
    "sql", ["SELECT count(*) FROM prompts", "FROM prompts", "EXPLAIN SELECT * FROM funnel", "VALUES (1)"]
)
def test_select_in_all_its_forms_runs(filled: Lake, sql: str) -> None:
    assert Session(filled).run(sql).height > 0


def test_columns_that_share_a_name_are_numbered_and_sums_are_numbers(filled: Lake) -> None:
    joined = Session(filled).rows("SELECT * FROM prompts AS a JOIN prompts AS b USING (prompt_id) LIMIT 1")
    assert {"loop", "loop_1", "unit_1"} <= set(joined[0])
    assert Session(filled).rows("SELECT sum(line) AS n FROM prompts") == [{"n": 40}]


def test_a_lake_path_that_delta_would_decode_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="%"):
        Lake.create(tmp_path / "g%41")
    assert list(tmp_path.iterdir()) == []


def test_a_quote_in_the_lakes_path_is_only_a_quote(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "it's a lake; DROP")
    unit = Unit("loop", 0, "admit")
    Log(lake).once(unit, "prompts", lambda: prompts(unit))
    assert Session(lake).run("SELECT count(*) AS n FROM prompts")["n"][0] == 5


def test_a_lake_of_another_schema_version_is_refused_and_left_alone(filled: Lake) -> None:
    (filled.root / "lake.json").write_text('{"format": 99}')
    with pytest.raises(SchemaMismatch, match="99"):
        Lake(filled.root)
    with pytest.raises(SchemaMismatch, match="99"):
        Lake.create(filled.root)


def test_a_folder_that_is_no_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LakeError, match="no lake at"):
        Lake(tmp_path)
    with pytest.raises(BadInput, match="holds other files"):
        Lake.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
