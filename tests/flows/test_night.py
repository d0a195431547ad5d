"""Promises of a night: killed anywhere, the same command goes on, with nothing lost and nothing twice."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import polars as pl
import pytest

from schemas.tables import TABLES
from tests.flows.conftest import ratchet, small_night
from warehouse.lake import Lake
from warehouse.query import query, read
from warehouse.verify.chain import read_chains
from warehouse.verify.lake import verify_lake

# Every step of an append, a freeze and a seal is killed in tests/warehouse; here it is steps of a round.
KILLED_AT = (
    "append prompts: file written",
    "append candidates: file written#2",
    "append scores: committed",
    "freeze: manifest written",
    "train: step taken#3",
    "train: job finished",
    "train: recorded",
    "append evaluations: committed",
    "append rounds: file written",
    "seal: written",
    "append candidates: committed#2",
    "append trainings: committed",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prefect_server: dict[str, str]) -> Lake:
    """A night that nothing happened to, started as a user starts it."""
    root = tmp_path_factory.mktemp("undisturbed") / "lake"
    done = ratchet(*small_night(root), environment=prefect_server, anew=True)
    assert done.returncode == 0, done.stderr
    return Lake(root)


def test_a_night_killed_at_every_kind_of_step_ends_as_an_undisturbed_one(
    undisturbed: Lake, tmp_path: Path, prefect_server: dict[str, str]
) -> None:
    root = tmp_path / "lake"
    for point in KILLED_AT:
        killed = ratchet(*small_night(root), environment=prefect_server, fault=point)
        assert killed.returncode == -signal.SIGKILL, f"{point} was never reached: {killed.stderr}"
    done = ratchet(*small_night(root), environment=prefect_server)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    disturbed = Lake(root)
    for name, table in TABLES.items():
        there, here = read(undisturbed, name), read(disturbed, name)
        assert sorted(here[table.id]) == sorted(there[table.id]), name
        assert here[table.id].n_unique() == here.height, name
    weights = "SELECT checkpoint_id, content_hash FROM checkpoints ORDER BY ALL"
    assert query(disturbed, weights).equals(query(undisturbed, weights))
    texts = "SELECT candidate_id, text, logprob_sum FROM candidates ORDER BY ALL"
    assert query(disturbed, texts).equals(query(undisturbed, texts))
    assert query(disturbed, "SELECT round, state FROM round_states ORDER BY ALL")["round"].to_list() == [0, 1]
    for lake in (undisturbed, disturbed):
        findings = verify_lake(lake, deep=True)
        assert findings.clean, findings.found
        assert [seal.round for seal in read_chains(lake, findings)["night"]] == [0, 1]


def test_the_command_again_does_the_next_rounds(
    undisturbed: Lake, tmp_path: Path, prefect_server: dict[str, str]
) -> None:
    """In a copy: the other tests of this file read two rounds, in whatever order they run."""
    lake = Lake(shutil.copytree(undisturbed.root, tmp_path / "lake"))
    before = read(lake, "rounds").height
    again = ratchet(*small_night(lake.root, rounds=1), "--json", environment=prefect_server)
    assert again.returncode == 0, again.stderr
    rounds = json.loads(again.stdout)
    assert [r["round"] for r in rounds] == [0, 1, 2]
    assert read(lake, "rounds").height == before + 2
    assert read(undisturbed, "rounds").height == before


def test_status_gives_one_object_a_round(undisturbed: Lake, prefect_server: dict[str, str]) -> None:
    shown = ratchet("status", "--json", "--lake", str(undisturbed.root), environment={})
    assert shown.returncode == 0, shown.stderr
    first = json.loads(shown.stdout)[0]
    assert (first["loop"], first["round"], first["recipe"]) == ("night", 0, "rft")
    assert (first["prompts"], first["candidates"]) == (24, 96)
    accepted = query(
        undisturbed,
        "SELECT count(*) AS n FROM (SELECT candidate_id, arg_max(kept, position) AS kept FROM decisions"
        " WHERE round = 0 GROUP BY 1) WHERE kept",
    )["n"][0]
    assert first["accepted"] == accepted
    assert set(first["champion"]) >= {"checkpoint", "accuracy", "low", "high"}
    assert first["verdict"] in {"promoted", "held"}
    assert first["reason"]
    assert {"generate", "verify", "train", "evaluate"} <= set(first["seconds"])


def test_no_held_out_prompt_reaches_training(undisturbed: Lake) -> None:
    held_out = query(undisturbed, "SELECT text, prompt_id FROM prompts WHERE split = 'eval'")
    trained = query(undisturbed, "SELECT prompt, prompt_id FROM examples")
    assert held_out.height == 16
    assert trained.height > 0
    assert set(trained["prompt"]).isdisjoint(held_out["text"])
    assert set(trained["prompt_id"]).isdisjoint(held_out["prompt_id"])


def test_every_step_names_examples_of_its_snapshot_once_an_epoch(undisturbed: Lake) -> None:
    used = query(
        undisturbed,
        "SELECT training_id, epoch, unnest(example_ids) AS example_id FROM steps",
    )
    for (training_id, _), part in used.group_by("training_id", "epoch"):
        rows = query(
            undisturbed,
            "SELECT e.example_id FROM examples AS e JOIN trainings AS t USING (snapshot_id)"
            " WHERE t.training_id = $id AND t.state = 'finished'",
            {"id": str(training_id)},
        )
        assert sorted(part["example_id"]) == sorted(rows["example_id"])


def test_every_rejected_candidate_keeps_its_reason(undisturbed: Lake) -> None:
    dropped = read(undisturbed, "decisions").filter(~pl.col("kept"))
    assert dropped.height > 0
    assert dropped["reason"].null_count() == 0


def test_a_checkpoint_traces_to_the_base_and_a_candidate_to_its_weights(
    undisturbed: Lake, prefect_server: dict[str, str]
) -> None:
    lake = ("--lake", str(undisturbed.root))
    last = query(undisturbed, "SELECT max(checkpoint_id) AS id FROM checkpoints")["id"][0]
    told = json.loads(ratchet("trace", "--json", *lake, last, environment=prefect_server).stdout)
    assert told["generations"][0]["checkpoint"]["checkpoint_id"] == last
    assert told["generations"][-1]["checkpoint"]["parent_id"] is None
    writers = told["generations"][0]["writers"]
    assert sum(w["examples"] for w in writers) == told["generations"][0]["snapshot"]["rows"]

    used = query(undisturbed, "SELECT candidate_id FROM examples LIMIT 1")["candidate_id"][0]
    life = json.loads(ratchet("trace", "--json", *lake, used, environment=prefect_server).stdout)
    assert life["uses"]
    assert life["uses"][0]["steps"]
    assert life["checkpoints"]
    assert life["scores"][0]["outcome"] == "pass"
    for row_id in (last, used):
        shown = ratchet("trace", *lake, row_id, environment=prefect_server)
        assert shown.returncode == 0, shown.stderr
        assert row_id in shown.stdout
