"""Promises of the schemas: one source for Arrow, Polars and SQL; ids that do not move; clear recipes."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.recipes.rooms import parse_recipe
from schemas import errors
from schemas.columns import SHARED, Table
from schemas.errors import BadInput, RecipeError
from schemas.ids import digest, kind_of, make_id, round_of
from schemas.tables import TABLES
from schemas.units import Unit

PARTS = st.lists(st.one_of(st.text(), st.integers(), st.booleans(), st.none()), max_size=4)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_arrow_polars_and_sql_agree_on_every_column(table: Table) -> None:
    assert table.arrow.names == list(table.polars) == list(table.sql)
    assert table.columns[: len(SHARED)] == SHARED
    assert table.id in table.arrow.names
    typed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in table.sql.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        arrow = connection.sql(f"SELECT {typed} WHERE false").to_arrow_table()
    as_polars = pl.from_arrow(arrow)
    assert isinstance(as_polars, pl.DataFrame)
    assert as_polars.schema == table.polars
    assert all(isinstance(field.type, pa.DataType) for field in table.arrow)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_rows_are_of_the_tables_own_types_whatever_they_hold(table: Table) -> None:
    assert table.frame([]).schema == table.own_polars
    first, last = table.id, list(table.own_polars)[-1]
    assert table.frame([{last: None, first: "x"}]).schema == {
        name: kind for name, kind in table.own_polars.items() if name in (first, last)
    }


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_every_table_and_column_says_what_it_is(table: Table) -> None:
    assert table.doc.endswith(".")
    assert all(column.doc for column in table.columns)
    assert len({column.name for column in table.columns}) == len(table.columns)


def test_the_error_tree_is_drawn_as_it_is() -> None:
    tree = errors.__doc__ or ""
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.RatchetError):
            assert error.__name__ in tree
            assert error.__doc__


@given(PARTS, PARTS)
def test_different_parts_never_share_a_digest(left: list[object], right: list[object]) -> None:
    same = [(type(x), x) for x in left] == [(type(x), x) for x in right]
    assert (digest(left) == digest(right)) == same  # type: ignore[arg-type]


def test_an_id_is_readable_and_sorts_by_round() -> None:
    early, late = make_id("cand", 9, "x"), make_id("cand", 10, "x")
    assert early < late
    assert (kind_of(early), round_of(late)) == ("cand", 10)
    assert make_id("cand", 9, "x") == early == "cand-00009-" + early[-24:]
    assert kind_of("cand-1-zz") is None
    assert round_of("../../etc/passwd") is None


def test_ids_are_the_same_in_every_process_and_version() -> None:
    assert make_id("prompt", 0, "loop", 1, None, 0.5, True) == "prompt-00000-10ca65a63cafb920446a76e5"


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "-a", "a-", "a" * 65, "x/y", "é", "a\n"])
def test_a_loops_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(BadInput):
        Unit(name, 0, "step")


def test_units_of_a_loop_sort_by_round() -> None:
    keys = [Unit("loop", number, "step").key for number in (0, 2, 10, 99_999)]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"recipe": "dpo"}, "no recipe named 'dpo'"),
        ({"recipe": ["rft"]}, "no recipe named"),
        ({"epochs": 3}, "unknown key epochs"),
        ({"training": {"epochs": 0}}, "training.epochs: input should be greater than 0, not 0"),
        ({"sampling": {"temperature": 0.0}}, "temperature 0 is greedy"),
        ({"sampling": {"temperature": float("nan")}}, "sampling.temperature"),
        ({"gate": {"alpha": 2}}, "gate.alpha"),
        (
            {"recipe": "self-rewarding", "rewarding": {"min_gap": float("inf")}},
            "rewarding.min_gap: input should be a finite number, not inf",
        ),
        ({"training": {"max_grad_norm": float("inf")}}, "training.max_grad_norm: input should be a finite"),
        ({"training": {"lora": {"rank": -1}}}, "training.lora.rank"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line_that_names_the_key(
    values: dict[str, object], words: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        parse_recipe(values)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
