"""Promises of `verify --deep`: what is whole byte by byte and yet does not add up is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import polars as pl
import pytest

from schemas.identity import critique_id, reference_id, training_event_id
from schemas.ids import make_id
from schemas.tables import TABLES
from schemas.units import Unit
from tests.warehouse.damage import damaged
from tests.warehouse.story import SHARDS
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.snapshot import content_hash
from warehouse.verify.lake import verify_lake

NOBODY = make_id("cand", 2, "nobody")


def rows_of(lake: Lake, table: str) -> pl.DataFrame:
    """The first row of the open round, its own columns: what a fact of it may look like."""
    rows = read(lake, table, {"loop": "ada", "round": 2}).sort(TABLES[table].id)
    return rows.select(list(TABLES[table].own_polars)).head(1)


def append(lake: Lake, table: str, rows: pl.DataFrame) -> None:
    """As a faulty step would: through the log, so that every hash is right."""
    Log(lake).once(Unit("ada", 2, "faulty"), table, lambda: rows)
    assert verify_lake(lake).items == []


def found(lake: Lake) -> str:
    return "\n".join(f"{one.where}: {one.what}" for one in verify_lake(lake, deep=True).items)


def test_a_candidate_without_its_prompt(full: Lake) -> None:
    prompt = make_id("prompt", 2, "nobody's")
    known = {"candidate_id": reference_id(2, "ada", prompt), "prompt_id": prompt, "kind": "reference"}
    row = rows_of(full, "candidates").with_columns(pl.lit(value).alias(name) for name, value in known.items())
    append(full, "candidates", row)
    assert f"prompts does not hold: {prompt}" in found(full)


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("candidates", "checkpoint_id", "checkpoints"),
        ("scores", "candidate_id", "candidates"),
        ("scores", "prompt_id", "prompts"),
        ("decisions", "candidate_id", "candidates"),
        ("decisions", "duplicate_of", "candidates or prompts"),
        ("trainings", "snapshot_id", "snapshots"),
        ("trainings", "base_checkpoint_id", "checkpoints"),
        ("steps", "training_id", "trainings"),
        ("checkpoints", "parent_id", "checkpoints"),
        ("evaluations", "checkpoint_id", "checkpoints"),
        ("rounds", "champion_in", "checkpoints"),
    ],
)
def test_a_fact_that_rests_on_one_the_lake_does_not_hold(
    full: Lake, table: str, column: str, parent: str
) -> None:
    key = TABLES[table].id
    changes = {column: pl.lit(NOBODY), key: pl.lit(make_id("new", 2, table))}
    append(full, table, rows_of(full, table).with_columns(**changes))
    assert f"name a {column} that {parent} does not hold: {NOBODY}" in found(full)


def critique(lake: Lake, **changes: str) -> pl.DataFrame:
    """A critique of the open round's first answer, with some columns as a faulty step would write them."""
    candidate = rows_of(lake, "candidates")
    row = {
        "candidate_id": candidate["candidate_id"][0],
        "principle": "kindness",
        "text": "it is curt",
        "checkpoint_id": read(lake, "checkpoints", {"loop": "ada"})["checkpoint_id"][0],
        "sample_index": 0,
        "seed": 7,
    } | changes
    names = ("candidate_id", "principle", "checkpoint_id", "sample_index", "seed")
    own = changes.get("critique_id", critique_id(2, *(row[name] for name in names)))  # type: ignore[arg-type]
    return TABLES["critiques"].frame([row | {"critique_id": own}])


def test_a_critique_that_adds_up_is_no_finding(full: Lake) -> None:
    append(full, "critiques", critique(full))
    assert found(full) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"critique_id": make_id("crit", 2, "another")}, "does not follow from its row"),
        ({"checkpoint_id": NOBODY}, f"name a checkpoint_id that checkpoints does not hold: {NOBODY}"),
        ({"candidate_id": NOBODY}, f"name a candidate_id that candidates does not hold: {NOBODY}"),
    ],
)
def test_a_critique_that_does_not_add_up_is_found(full: Lake, change: dict[str, str], words: str) -> None:
    append(full, "critiques", critique(full, **change))
    assert words in found(full)


def test_every_column_that_names_a_row_says_of_which_table() -> None:
    """What ends in _id or holds parents points somewhere, but for a table's own id and those of jobs."""
    for table in TABLES.values():
        for column in table.own:
            named = column.name.endswith("_id") or column.name == "parents"
            if named and column.name != table.id and (table.name, column.name) not in UNCHECKED:
                assert column.to, f"{table.name}.{column.name} points to no table"
            for one in column.to:
                parent, name = one.split(".")
                assert name in TABLES[parent].arrow.names


UNCHECKED = {
    ("trainings", "training_id"),  # the training itself, which has a row a state
    ("trainings", "checkpoint_id"),  # on record before the checkpoint is
}


def test_a_prompt_invented_from_one_the_lake_does_not_hold(full: Lake) -> None:
    known = read(full, "prompts", {"loop": "ada"})["prompt_id"][0]
    changes = {"parents": pl.lit([known, NOBODY]), "prompt_id": pl.lit(make_id("new", 2, "prompts"))}
    append(full, "prompts", rows_of(full, "prompts").with_columns(**changes))
    assert f"name a parents that prompts does not hold: {NOBODY}" in found(full)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("prompts", {"text": pl.lit("another question")}),
        ("candidates", {"seed": pl.lit(8)}),
        ("scores", {"verifier_version": pl.lit("2")}),
        ("decisions", {"position": pl.lit(1)}),
        ("steps", {"step": pl.lit(1)}),
        ("evaluations", {"metric": pl.lit("pass@1")}),
    ],
)
def test_an_id_that_does_not_follow_from_its_row(full: Lake, table: str, change: dict[str, pl.Expr]) -> None:
    key = TABLES[table].id
    row = rows_of(full, table).with_columns(**change, **{key: pl.lit(make_id("new", 2, table))})
    append(full, table, row)
    assert f"{key} {row[key][0]} does not follow from its row" in found(full)


def test_an_id_that_stands_twice(full: Lake) -> None:
    row = rows_of(full, "evaluations")
    append(full, "evaluations", row)
    assert f"evaluation_id {row['evaluation_id'][0]} stands 2 times" in found(full)


def _refrozen(lake: Lake, change: Callable[[pl.DataFrame], pl.DataFrame]) -> str:
    """A second snapshot of the open round with other rows, whose name and hashes claim to be right."""
    row = rows_of(lake, "snapshots")
    old = lake.root / row["path"][0]
    examples = change(pl.read_parquet(old / "examples.parquet", glob=False))
    manifest = json.loads((old / "manifest.json").read_text())
    name = f"snap-00002-{hashlib.sha256(b'other').hexdigest()[:24]}"
    (lake.root / "snapshots" / name).mkdir()
    examples.write_parquet(lake.root / "snapshots" / name / "examples.parquet")
    values = {**manifest, "snapshot_id": name, "content_hash": content_hash(examples)}
    (lake.root / "snapshots" / name / "manifest.json").write_text(json.dumps(values))
    from warehouse.artifacts import listing

    files = listing(lake, f"snapshots/{name}")
    place = f"snapshots/{name}"
    new = {"snapshot_id": pl.lit(name), "path": pl.lit(place), "files": pl.lit(files)}
    append(lake, "snapshots", row.with_columns(**new))
    return name


def test_a_snapshot_whose_rows_are_not_those_of_its_name(full: Lake) -> None:
    name = _refrozen(full, lambda rows: rows.with_columns(response=pl.lit("#### 0")))
    assert f"snapshots/{name}" in damaged(verify_lake(full, deep=True))


def test_an_example_that_never_was_a_candidate(full: Lake) -> None:
    name = _refrozen(full, lambda rows: rows.with_columns(candidate_id=pl.lit(NOBODY)))
    assert f"snapshots/{name}: {2 * SHARDS} examples come from no candidate" in found(full)


def test_a_step_that_was_fed_what_its_snapshot_does_not_hold(full: Lake) -> None:
    stray = make_id("ex", 2, "stray")
    row = rows_of(full, "steps").with_columns(
        step=pl.lit(1), step_id=pl.lit(make_id("step", 2, "x")), example_ids=pl.lit([stray])
    )
    append(full, "steps", row)
    assert "1 examples of" in found(full)
    assert "are not in its snapshot" in found(full)


def test_a_second_start_of_a_training_is_not_a_finding(full: Lake) -> None:
    row = rows_of(full, "trainings")
    event = training_event_id(2, row["training_id"][0], "failed", 1)
    failed = row.with_columns(event_id=pl.lit(event), state=pl.lit("failed"), files=pl.lit(None))
    append(full, "trainings", failed)
    assert verify_lake(full, deep=True).items == []
