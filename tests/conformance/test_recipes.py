"""Promises of every recipe: its small night (nights.py), by the command line as a user has it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, get_args

import polars as pl
import pytest

from flows.recipes.rooms import ROOMS
from flows.replay.job import recorded_job
from schemas.descent import KEYS
from schemas.job import Hyperparameters
from schemas.tables import TABLES
from tasks.audit.monitors.registry import MONITORS
from tasks.audit.reading import MonitorVerdict
from tests.commands import ratchet
from tests.conformance.nights import LOOP, ROUNDS, night_arguments, small_night
from tests.conftest import REPOSITORY
from warehouse.ancestry.walk import NODES, walking
from warehouse.lake import Lake
from warehouse.query import query, read
from warehouse.snapshot import content_hash

# Every step of an append, a freeze and a seal is killed in tests/warehouse; here it is steps of a round.
BEFORE_THE_FREEZE = (
    "append prompts: file written",
    "append candidates: file written#2",
    "append scores: committed",
)
AFTER_IT = (
    "freeze: manifest written",
    "train: step taken#3",
    "train: job finished",
    "train: recorded",
    "append evaluations: committed",
    "append rounds: file written",
    "seal: written",
)
IN_THE_NEXT_ROUND = ("append candidates: committed#2", "append trainings: committed")
OF_THE_RUN = [
    *("recorded_at", "seconds", "tokens_per_second", "peak_memory_bytes"),
    "files",  # hashes of the ledger too, which says how long each step took
]
"""Columns that say how a command went. All else is what was done: not a value may differ."""
VIEWS = sorted(path.stem for path in (REPOSITORY / "warehouse" / "views").glob("*.sql"))

Ask = Callable[..., str]


@pytest.fixture(scope="module", params=ROOMS)
def recipe(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lake(recipe: str, undisturbed: Callable[[str], Lake]) -> Lake:
    """The recipe's undisturbed night, to read."""
    return undisturbed(recipe)


@pytest.fixture(scope="module")
def ask(lake: Lake, plain: dict[str, str]) -> Ask:
    """`ask(command, ...)`: what a command says of that lake."""

    def answer(*arguments: str) -> str:
        result = ratchet(*arguments, "--lake", str(lake.root), environment=plain)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    return answer


def test_every_recipe_has_values_a_base_and_its_name_in_the_documents(recipe: str) -> None:
    small_night(recipe)
    room = ROOMS[recipe]
    values = room.values(recipe=recipe)
    assert values.recipe == recipe
    assert room.values.__doc__
    assert (room.base(values) / "config.json").is_file()
    assert (REPOSITORY / "tutor" / f"{recipe}.yaml").is_file()
    for page in ("README.md", "docs/design.md"):
        assert recipe in (REPOSITORY / page).read_text("utf-8").lower(), f"{page} says nothing of {recipe}"


def test_a_night_killed_at_every_kind_of_step_ends_as_an_undisturbed_one(
    recipe: str, lake: Lake, tmp_path: Path, plain: dict[str, str]
) -> None:
    """The command again does what is left of the night; the undisturbed one was done by Prefect."""
    root = tmp_path / "lake"
    the_night = night_arguments(recipe, root)
    for point in (*BEFORE_THE_FREEZE, *small_night(recipe).kills, *AFTER_IT, *IN_THE_NEXT_ROUND):
        killed = ratchet(*the_night, environment=plain, fault=point)
        assert killed.returncode == -signal.SIGKILL, f"{point} was never reached: {killed.stderr}"
    result = ratchet(*the_night, "--json", environment=plain)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    rounds = [one["round"] for one in json.loads(result.stdout)]
    assert rounds == list(range(ROUNDS)), "no round beyond the night"
    disturbed = Lake(root)
    for name, table in TABLES.items():
        there, here = (
            read(one, name).sort(table.id).drop(OF_THE_RUN, strict=False) for one in (lake, disturbed)
        )
        assert here[table.id].to_list() == there[table.id].to_list(), name
        assert here[table.id].n_unique() == here.height, name
        assert here.equals(there), name
    checked = ratchet("verify", "--deep", "--json", "--lake", str(root), environment=plain)
    assert json.loads(checked.stdout)["seals"][LOOP]["round"] == ROUNDS - 1
    assert checked.returncode == 0, checked.stdout


def test_the_lake_verifies_deep_and_is_sealed_up_to_its_last_round(ask: Ask) -> None:
    checked = json.loads(ask("verify", "--deep", "--json"))
    assert checked["clean"]
    assert checked["findings"] == []
    assert checked["seals"][LOOP]["round"] == ROUNDS - 1


def test_status_gives_one_object_a_round_and_a_table(recipe: str, lake: Lake, ask: Ask) -> None:
    rounds = json.loads(ask("status", "--json"))
    assert [(one["loop"], one["round"], one["recipe"]) for one in rounds] == [
        (LOOP, number, recipe) for number in range(ROUNDS)
    ]
    page = ask("status")
    for one in rounds:
        row = query(lake, COUNTED, {"round": one["round"]}).row(0, named=True)
        assert {name: one[name] for name in row} == row
        assert one["accepted"] > 0
        assert one["trained_on"] > 0
        assert set(one["champion"]) >= {"checkpoint", "accuracy", "low", "high"}
        assert one["challenger"]["accuracy"] is not None
        assert one["verdict"] in {"promoted", "held"}
        assert one["reason"]
        assert {"train", "evaluate", "audit"} <= set(one["seconds"])
        assert f"round {one['round']} {one['verdict']}: " in page


COUNTED = """
    WITH answers AS (
        SELECT candidate_id, prompt_id FROM candidates
        WHERE round = $round AND kind = 'answer' AND split = 'train'),
    decided AS (
        SELECT candidate_id, unit, arg_max(kept, position) AS kept FROM decisions
        WHERE round = $round GROUP BY ALL)
    SELECT count(DISTINCT prompt_id) AS prompts, count(*) AS candidates,
           count(*) FILTER (candidate_id IN (SELECT candidate_id FROM decided WHERE kept)) AS accepted,
           (SELECT sum(rows)::BIGINT FROM snapshots WHERE round = $round) AS trained_on
    FROM answers"""


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_knows_the_rounds_or_is_one_that_has_nothing_to_say_of_the_recipe(
    recipe: str, lake: Lake, view: str
) -> None:
    rows = query(lake, f"FROM {view}")
    silent = small_night(recipe).silent
    assert set(rows["loop"]) == (set() if view in silent else {LOOP})
    assert set(rows["round"]) == (set() if view in silent else set(range(ROUNDS)))


def test_every_monitor_has_a_reading_in_every_round_and_none_has_its_reason(lake: Lake) -> None:
    audits = read(lake, "audits")
    for number in range(ROUNDS):
        assert set(audits.filter(round=number)["monitor"]) == set(MONITORS)
    assert set(audits["verdict"]) <= set(get_args(MonitorVerdict))
    assert audits.filter(verdict="none")["reason"].null_count() == 0


def test_no_held_out_prompt_reaches_training(lake: Lake) -> None:
    held_out = query(lake, "SELECT text, prompt_id FROM prompts WHERE split = 'eval'")
    trained = query(lake, "SELECT prompt, prompt_id FROM examples")
    assert held_out.height > 0
    assert trained.height > 0
    assert set(trained["prompt"]).isdisjoint(held_out["text"])
    assert set(trained["prompt_id"]).isdisjoint(held_out["prompt_id"])


def test_every_step_names_examples_of_its_snapshot_once_an_epoch(lake: Lake) -> None:
    used = query(lake, "SELECT training_id, epoch, unnest(example_ids) AS example_id FROM steps")
    finished = read(lake, "trainings").filter(state="finished")
    assert set(used["training_id"]) == set(finished["training_id"])
    for training in finished.to_dicts():
        own = used.filter(training_id=training["training_id"])
        frozen = query(
            lake,
            "SELECT example_id FROM examples WHERE snapshot_id = $snapshot",
            {"snapshot": training["snapshot_id"]},
        )
        assert own.group_by("epoch").len().height == hyper_of(training).epochs
        for _, part in own.group_by("epoch"):
            assert sorted(part["example_id"]) == sorted(frozen["example_id"])


def test_every_rejected_candidate_keeps_its_reason(lake: Lake, ask: Ask) -> None:
    dropped = read(lake, "decisions").filter(~pl.col("kept")).sort("decision_id")
    assert dropped.height > 0
    assert dropped["reason"].null_count() == 0
    one = dropped.row(0, named=True)
    last = json.loads(ask("trace", "--json", one["candidate_id"]))["decisions"][-1]
    assert last["kept"] is False
    assert last["reason"]
    assert last["reason"] in ask("trace", one["candidate_id"])


def test_the_last_checkpoint_is_traced_to_the_base_with_who_wrote_its_examples(lake: Lake, ask: Ask) -> None:
    last = (
        read(lake, "checkpoints")
        .filter(pl.col("training_id").is_not_null())
        .sort("round")
        .row(-1, named=True)
    )
    generations = json.loads(ask("trace", "--json", last["checkpoint_id"]))["generations"]
    assert generations[0]["checkpoint"]["checkpoint_id"] == last["checkpoint_id"]
    assert generations[-1]["checkpoint"]["parent_id"] is None
    for one, parent in pairwise(generations):
        assert one["checkpoint"]["parent_id"] == parent["checkpoint"]["checkpoint_id"]
    for one in generations[:-1]:
        wrote = [(writer["kind"], writer["examples"]) for writer in one["writers"]]
        assert sum(n for kind, n in wrote if kind != "rejected") == one["snapshot"]["rows"]
        assert sum(n for kind, n in wrote if kind == "rejected") == (one["pairs"] or {"pairs": 0})["pairs"]
    assert last["checkpoint_id"] in ask("trace", last["checkpoint_id"])


def test_an_examples_candidates_are_traced_to_their_steps_and_to_every_checkpoint(
    lake: Lake, ask: Ask
) -> None:
    """Both of a pair: the one learned and the one it was held against."""
    example = query(lake, "FROM examples_of_checkpoint WHERE round = 0 ORDER BY rejected_id, example_id").row(
        0, named=True
    )
    for candidate in filter(None, (example["candidate_id"], example["rejected_id"])):
        life = json.loads(ask("trace", "--json", candidate))
        assert example["steps"] in [use["steps"] for use in life["uses"]]
        assert {use["checkpoint_id"] for use in life["uses"]} >= {example["checkpoint_id"]}
        touched = {one["checkpoint_id"] for one in life["checkpoints"]}
        parents = query(lake, "SELECT checkpoint_id, parent_id FROM checkpoints").rows()
        assert touched >= {example["checkpoint_id"]} | {own for own, parent in parents if parent in touched}
        assert example["checkpoint_id"] in ask("trace", candidate)


def test_what_any_row_descends_from_says_that_it_reached_it(recipe: str, lake: Lake) -> None:
    """Trace and impact agree: of rows drawn by lot, an ancestor drawn by lot reaches each."""
    lots = Random(recipe)
    there = {
        table: query(lake, f"SELECT DISTINCT {KEYS[table]} AS key FROM {table}")["key"] for table in KEYS
    }
    tables = lots.sample([table for table, keys in there.items() if len(keys)], 8)
    drawn = [
        (f"{table} {own}", table, own) for table in tables for own in [lots.choice(sorted(there[table]))]
    ]
    with walking(lake, [LOOP]) as walk:
        above, edges = walk.closure(pl.DataFrame(drawn, schema=NODES, orient="row"))
        others = above.filter(pl.format("{} {}", "table", "id") != pl.col("origin"))
        pairs = [
            (origin, *lots.choice(sorted(mine.select("table", "id").rows())))
            for (origin,), mine in others.group_by("origin", maintain_order=True)
        ]
        assert pairs, "some descend from others"
        begun = pl.DataFrame([(f"{t} {own}", t, own) for _, t, own in pairs], schema=NODES, orient="row")
        below, _ = walk.closure(begun, down=True)
    reached = set(below.rows())
    for origin, table, own in pairs:
        assert (f"{table} {own}", *origin.split(" ")) in reached, f"{origin} descends from {own}"
    assert above.filter(pl.col("table") == "checkpoints").height, "some lead to a checkpoint"
    held = {table: set(keys) for table, keys in there.items()}
    assert all(own in held[table] for table, own in above.select("table", "id").unique().rows())
    assert not edges.filter(
        (pl.col("child") == pl.col("parent")) & (pl.col("child_table") == pl.col("parent_table"))
    ).height


def test_what_a_round_trained_on_is_exported_and_reads_back_row_by_row(
    lake: Lake, ask: Ask, tmp_path: Path
) -> None:
    for snapshot in read(lake, "snapshots").to_dicts():
        own, to = snapshot["snapshot_id"], tmp_path / snapshot["snapshot_id"]
        report = json.loads(ask("export", own, "--to", str(to), "--json"))
        rows = pl.read_parquet(to / report["file"])
        frozen = pl.read_parquet(lake.place(snapshot["path"]) / "examples.parquet")
        assert report["rows_hash_to_it"]
        assert rows.equals(frozen)
        assert content_hash(rows) == report["content_hash"] == snapshot["content_hash"]
        assert own in (to / "README.md").read_text("utf-8")


def test_a_training_is_run_again_from_what_is_on_record_to_the_same_weights(
    lake: Lake, tmp_path: Path, plain: dict[str, str]
) -> None:
    for training in read(lake, "trainings").filter(state="finished").to_dicts():
        job = recorded_job(lake, training, tmp_path / training["training_id"])
        file = tmp_path / "job.json"
        file.write_text(job.model_dump_json())
        process = ratchet(str(file), environment=plain, program="tasks.train.launch:main")
        assert process.returncode == 0, process.stderr
        result = json.loads((Path(job.output) / "result.json").read_text())
        made = read(lake, "checkpoints", {"checkpoint_id": training["checkpoint_id"]})
        assert result["weights_hash"] == made["content_hash"].item()


def hyper_of(training: dict[str, Any]) -> Hyperparameters:
    return Hyperparameters.model_validate_json(training["hyperparameters"])
