"""The lake is open: engines that know nothing of Ratchet read its tables as plain Delta, values and all."""

from __future__ import annotations

import json
from collections.abc import Callable

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from schemas.ids import make_id
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.conftest import prompts
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.seal import seal_rounds

LOOPS, ROUNDS = ("first", "2024-01-01"), 2  # a loop named like a date must stay text
READ = ("prompts", "scores", "rounds")


def fill(log: Log) -> None:
    """Two loops of two closed rounds, with texts, lists, floats and missing values; nothing sealed."""
    for loop in LOOPS:
        for number in range(ROUNDS):
            for shard in range(2):
                unit = Unit(loop, number, "admit", shard)
                rows = log.once(unit, "prompts", lambda unit=unit: prompts(unit))  # type: ignore[misc]
                log.once(unit, "scores", lambda a=rows, n=number: scores(a, n))  # type: ignore[misc]
            for state in ("started", "held"):
                log.once(Unit(loop, number, state), "rounds", lambda s=state, n=number: event(s, n))  # type: ignore[misc]


def scores(asked: pl.DataFrame, number: int) -> pl.DataFrame:
    """A verdict on each prompt, every column of some kind filled in."""
    ids = [make_id("score", number, prompt) for prompt in asked["prompt_id"]]
    return asked.select("prompt_id", candidate_id="prompt_id").with_columns(
        score_id=pl.Series(ids),
        verifier=pl.lit("maths"),
        verifier_version=pl.lit("1"),
        verifier_kind=pl.lit("rule"),
        outcome=pl.lit("pass"),
        value=pl.Series([0.1 + n if n % 2 else None for n in range(len(ids))], dtype=pl.Float64),
        steps=pl.Series([[1.0, 0.0], [], None, [0.5], [1e300]], dtype=pl.List(pl.Float64)),
        path=pl.Series([["1+1=2", "ünï"], [], None, [""], ["a"]], dtype=pl.List(pl.String)),
    )


def event(state: str, number: int) -> pl.DataFrame:
    """A round's state."""
    row = {"event_id": make_id("event", number, state), "state": state, "recipe": "rft", "recipe_hash": "x"}
    row |= {"recipe_values": json.dumps({}), "champion_in": "ckpt-0"}
    return pl.DataFrame(row | {"night_begins": 0, "night_ends": ROUNDS})  # type: ignore[operator]


@pytest.fixture(scope="module", params=["before sealing", "after sealing"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The filled lake, its rounds sealed or not."""
    log = Log(Lake.create(tmp_path_factory.mktemp("open") / "lake"))
    fill(log)
    if request.param == "after sealing":
        for loop in LOOPS:
            assert len(seal_rounds(log, loop)) == ROUNDS
    return log.lake


def by_polars(path: str) -> pl.DataFrame:
    return pl.scan_delta(path).collect()


def by_arrow(path: str) -> pl.DataFrame:
    frame = pl.from_arrow(DeltaTable(path).to_pyarrow_dataset().to_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def by_duckdb(path: str) -> pl.DataFrame:
    files = DeltaTable(path).file_uris()
    sql = (
        "SELECT * FROM read_parquet($files, hive_partitioning = true, "
        "hive_types = {'loop': VARCHAR, 'round': BIGINT})"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        frame = pl.from_arrow(connection.sql(sql, params={"files": files}).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def by_dask(path: str) -> pl.DataFrame:
    """Dask, which spreads a table's files over the machines of a cluster; here over this one's threads."""
    engine = pytest.importorskip("dask_deltatable", reason="dask-deltatable is not installed")
    import dask

    with dask.config.set({"dataframe.convert-string": False, "scheduler": "threads"}):  # a list is no text
        result = engine.read_deltalake(path)
        assert result.npartitions == len(DeltaTable(path).file_uris()), "one part a file"
        frame = pl.from_pandas(result.compute())
        counted = result.groupby("loop").size().compute()
    assert counted.to_dict() == dict(frame.group_by("loop").len().iter_rows())
    return frame


ENGINES: list[Callable[[str], pl.DataFrame]] = [by_polars, by_arrow, by_duckdb, by_dask]


@pytest.mark.parametrize("table", READ)
@pytest.mark.parametrize("engine", ENGINES)
def test_other_engines_read_the_rows_that_we_read(
    lake: Lake, engine: Callable[[str], pl.DataFrame], table: str
) -> None:
    ours = read(lake, table)
    theirs = engine(str(lake.table_path(table)))
    assert ours.height == theirs.height > 0
    assert set(theirs.columns) == set(ours.columns)
    kind = TABLES[table]
    order = ["loop", "round", kind.id]
    rows = theirs.select(ours.columns).cast(ours.schema)  # type: ignore[arg-type]
    assert rows.sort(order).equals(ours.sort(order))


def test_a_delta_reader_skips_the_rounds_it_does_not_ask_for(lake: Lake) -> None:
    path = str(lake.table_path("prompts"))
    lazy = pl.scan_delta(path).filter(pl.col("loop") == LOOPS[1], pl.col("round") == 1)
    assert lazy.select(pl.len()).collect().item() == 10
    only = DeltaTable(path).file_uris(file_pruning_predicate=[("loop", "=", LOOPS[1]), ("round", "=", 1)])
    assert 0 < len(only) < len(DeltaTable(path).file_uris())


def test_a_delta_reader_goes_back_to_any_version(lake: Lake) -> None:
    path = str(lake.table_path("prompts"))
    for version in range(2 * ROUNDS * len(LOOPS) + 1):  # every append is there, sealed or not
        assert pl.scan_delta(path, version=version).select(pl.len()).collect().item() == 5 * version
