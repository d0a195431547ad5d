"""Promises of a round: the launcher does not matter, a failed training harms nothing, several can write."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.pages.status import status
from tests.commands import ratchet
from tests.flows.conftest import small_night
from warehouse.lake import Lake
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake


def run(
    root: Path, environment: dict[str, str], *more: str, rounds: int = 1
) -> tuple[int, list[dict[str, object]], str]:
    """A small night with more settings: exit code, status, standard error."""
    settings = [word for setting in more for word in ("--set", setting)]
    result = ratchet(*small_night(root, rounds), *settings, "--json", environment=environment)
    assert "Traceback" not in result.stderr
    return result.returncode, json.loads(result.stdout) if result.stdout else [], result.stderr


DECIDED = "SELECT decision_id, kept, reason FROM decisions ORDER BY ALL"
TRAINED = "SELECT round, content_hash FROM checkpoints WHERE training_id IS NOT NULL ORDER BY ALL"


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory, plain: dict[str, str]) -> Lake:
    """Two rounds that nobody audits, and nobody judges but the verifier."""
    root = tmp_path_factory.mktemp("unwatched") / "lake"
    code, _, stderr = run(root, plain, "verification.audit_share=0", rounds=2)
    assert code == 0, stderr
    return Lake(root)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, plain: dict[str, str]) -> Lake:
    """The same rounds, a model judging a third of the answers, an independent verifier half of them."""
    root = tmp_path_factory.mktemp("watched") / "lake"
    more = ("verification.audit_share=0.5", "verification.judge.share=0.3")
    code, _, stderr = run(root, plain, *more, rounds=2)
    assert code == 0, stderr
    return Lake(root)


def test_accelerate_launch_trains_the_same_weights_as_this_process(
    tmp_path: Path, unwatched: Lake, plain: dict[str, str]
) -> None:
    own = ("launcher=accelerate", "verification.audit_share=0")
    code, _, stderr = run(tmp_path / "lake", plain, *own)
    assert code == 0, stderr
    launched = query(Lake(tmp_path / "lake"), TRAINED)
    assert launched.height == 1
    assert launched.equals(query(unwatched, TRAINED).filter(round=0))


def test_two_processes_train_one_challenger_and_say_how_far_they_are(
    tmp_path: Path, prefect_server: dict[str, str]
) -> None:
    config = tmp_path / "two.yaml"
    config.write_text("{distributed_type: MULTI_CPU, num_machines: 1, num_processes: 2, use_cpu: true}")
    own = ("launcher=accelerate", f"accelerate_config={config}")
    code, _, stderr = run(tmp_path / "lake", prefect_server, *own)
    assert code == 0, stderr
    lake = Lake(tmp_path / "lake")
    finished = read(lake, "trainings").filter(state="finished").row(0, named=True)
    assert finished["devices"].startswith("2 x cpu")
    assert finished["tokens_per_second"] > 0
    assert finished["peak_memory_bytes"] > 2**20
    assert read(lake, "checkpoints")["training_id"].to_list().count(finished["training_id"]) == 1
    steps = read(lake, "steps").sort("step")
    assert steps["step"].to_list() == list(range(finished["step_count"]))
    assert not steps["seconds"].has_nulls()
    fed = steps.explode("example_ids")["example_ids"]
    frozen = query(lake, "SELECT example_id FROM examples")["example_id"]
    assert sorted(fed) == sorted(frozen)
    progress_artifact = artifact(prefect_server, finished["training_id"])
    assert progress_artifact["type"] == "progress"
    assert progress_artifact["data"] == 100
    assert f"step {steps.height} of {steps.height}: loss " in progress_artifact["description"]


def artifact(environment: dict[str, str], key: str) -> dict[str, Any]:
    """What Prefect's server holds under a key: the newest, since loops of other lakes have the same ids."""
    artifacts = asked(environment, "artifacts", {"artifacts": {"key": {"any_": [key]}}})
    return max(artifacts, key=lambda one: str(one["created"]))


def asked(environment: dict[str, str], what: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """What Prefect's server answers to a filter."""
    request = urllib.request.Request(
        f"{environment['PREFECT_API_URL']}/{what}/filter",
        json.dumps(filters).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.load(answer))


def test_a_round_that_keeps_nothing_is_held_and_the_loop_goes_on(
    tmp_path: Path, plain: dict[str, str]
) -> None:
    code, rounds, stderr = run(tmp_path / "lake", plain, "sampling.max_tokens=1", rounds=2)
    assert code == 0, stderr
    assert [(r["verdict"], r["challenger"]) for r in rounds] == [("held", None)] * 2
    assert "nothing to train on" in str(rounds[0]["reason"])


def test_a_training_that_diverges_is_recorded_the_night_fails_and_the_champion_stays(
    tmp_path: Path, plain: dict[str, str], prefect_server: dict[str, str]
) -> None:
    code, rounds, stderr = run(
        tmp_path / "lake",
        prefect_server,
        "training.learning_rate=1e30",
        "training.max_grad_norm=1e30",
    )
    assert code == 1
    stopped = "round 0 stopped the night: TrainingFailed"
    assert f"ratchet: {stopped}" in stderr
    assert rounds[0]["verdict"] == "stopped"
    nights = asked(prefect_server, "flow_runs", {"flow_runs": {"tags": {"all_": ["ratchet"]}}})
    ours = [run for run in nights if run["parameters"].get("lake") == str(tmp_path / "lake")]
    (night,) = (run for run in ours if "number" not in run["parameters"])
    assert night["state"]["type"] == "FAILED"
    assert stopped in night["state"]["message"]
    lake = Lake(tmp_path / "lake")
    states = read(lake, "trainings")
    assert sorted(states["state"]) == ["failed", "started"]
    assert "diverged at step" in str(states.filter(state="failed")["error"][0])
    assert read(lake, "checkpoints").height == 1
    healthy = ("training.learning_rate=1e-3", "training.max_grad_norm=1.0")
    code, rounds, stderr = run(tmp_path / "lake", plain, *healthy)
    assert code == 0, stderr
    assert rounds[0]["verdict"] == "stopped"
    first, second = rounds[0]["champion"], rounds[1]["champion"]
    assert second["checkpoint"] == first["checkpoint"]  # type: ignore[index]


def test_only_right_answers_are_trained_on(unwatched: Lake) -> None:
    trained = query(unwatched, "SELECT s.outcome FROM examples JOIN scores AS s USING (candidate_id)")
    assert set(trained["outcome"]) == {"pass"}


@pytest.mark.parametrize(("start", "number"), [("base", 2), ("champion", 3)])
def test_several_checkpoints_write_and_kept_answers_are_pooled(
    tmp_path: Path, plain: dict[str, str], start: str, number: int
) -> None:
    code, rounds, stderr = run(
        tmp_path / "lake",
        plain,
        "pool_checkpoints=2",
        "pool_untaught=false",
        f"start_from={start}",
        rounds=number,
    )
    assert code == 0, stderr
    lake = Lake(tmp_path / "lake")
    writers = query(
        lake,
        "SELECT round, count(DISTINCT checkpoint_id) AS n FROM candidates"
        " WHERE split = 'train' GROUP BY 1 ORDER BY 1",
    )
    champions = {str(r["champion"]["checkpoint"]) for r in rounds[:2]}  # type: ignore[index]
    assert writers["n"].to_list()[0] == 1
    assert writers["n"].to_list()[1] == len(champions)
    pooled = query(
        lake,
        "SELECT count(*) AS n FROM examples AS e JOIN snapshots AS s USING (snapshot_id)"
        " JOIN candidates AS c USING (candidate_id) WHERE s.round = 1 AND c.round = 0",
    )
    assert pooled["n"][0] > 0
    parents = query(
        lake,
        "SELECT c.parent_id, r.champion_in FROM checkpoints AS c JOIN round_states AS r USING (loop, round)"
        " WHERE c.training_id IS NOT NULL ORDER BY c.round",
    )
    base = rounds[0]["champion"]["checkpoint"]  # type: ignore[index]
    expected = [base] * parents.height if start == "base" else parents["champion_in"].to_list()
    assert parents["parent_id"].to_list() == expected


def test_gsm8k_runs_as_it_is_with_its_references_as_training_data(
    tmp_path: Path, plain: dict[str, str], shared_data: Path
) -> None:
    lines = (shared_data / "gsm8k" / "train.jsonl").read_text("utf-8").splitlines()[:40]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(lines))
    arguments = small_night(tmp_path / "lake", 1)
    result = ratchet(
        *arguments,
        "--prompts",
        str(file),
        "--set",
        "training.max_tokens=1024",
        "--set",
        "training.epochs=1",
        environment=plain,
    )
    assert result.returncode == 0, result.stderr
    lake = Lake(tmp_path / "lake")
    splits = dict(query(lake, "SELECT split, count(*) FROM prompts GROUP BY 1").iter_rows())
    assert splits == {"train": 32, "eval": 8}
    trained = query(
        lake,
        "SELECT c.kind, count(*) AS n FROM examples JOIN candidates AS c USING (candidate_id) GROUP BY 1",
    )
    assert dict(trained.iter_rows())["reference"] == 32


def test_who_only_watches_changes_no_decision_and_no_weight(watched: Lake, unwatched: Lake) -> None:
    """An audit and a judge add verdicts of their own; of all else not a value differs."""
    assert query(watched, "SELECT count(*) AS n FROM scores WHERE role IN ('audit', 'also')")["n"][0] > 0
    views = ("funnel", "acceptance", "distinct_paths", "accuracy", "narrowing")
    for sql in (DECIDED, TRAINED, *(f"FROM {view}" for view in views)):
        assert query(unwatched, sql).height > 0, sql
        assert query(watched, sql).equals(query(unwatched, sql)), sql


def test_an_audit_judges_a_sample_that_no_filter_sees(watched: Lake, unwatched: Lake) -> None:
    assert query(unwatched, "FROM audited_verdicts").is_empty()
    row = query(watched, "FROM audited_verdicts WHERE verifier LIKE 'maths %' AND round = 0").row(
        0, named=True
    )
    assert row["audited_by"].split()[0] == "gsm8k"
    assert 0 < row["audited"] < 96
    assert row["agreement"] > 0.9
    prompts = query(
        watched, "SELECT count(DISTINCT prompt_id) AS n FROM scores WHERE role = 'audit' AND round = 0"
    )
    assert row["audited"] == 4 * prompts["n"][0], "every answer to an audited prompt"


def test_a_model_judges_a_sample_and_all_it_wrote_is_kept(watched: Lake) -> None:
    """Texts, votes and verdicts are facts."""
    judges = query(watched, "SELECT checkpoint_id, round FROM checkpoints WHERE role = 'judge'")
    assert judges["round"].to_list() == [0], "one judge, on record once"
    champions = query(watched, "SELECT champion_in AS id FROM round_states")["id"]
    assert judges["checkpoint_id"][0] not in champions
    rows = query(
        watched,
        """
        SELECT s.round, s.candidate_id, s.role, s.value, s.steps, count(j.candidate_id) AS texts
        FROM scores AS s
        LEFT JOIN candidates AS j
            ON j.loop = s.loop AND j.kind = 'judgement' AND list_contains(j.parents, s.candidate_id)
        WHERE s.verifier = 'judge' GROUP BY ALL""",
    )
    assert set(rows["round"]) == {0, 1}
    assert set(rows["role"]) == {"also"}
    voted = rows.filter(rows["value"].is_not_null())
    assert voted.height > 20
    assert (voted["texts"] == 3).sum() > 20, "three judgements each, kept as they were written"
    findings = verify_lake(watched, deep=True)
    assert findings.clean, findings.items


def test_a_loop_says_how_it_does_by_the_steps_of_a_prompt_and_over_how_many_problems(unwatched: Lake) -> None:
    rows = query(unwatched, "FROM accuracy_by_steps ORDER BY ALL")
    whole = query(unwatched, "SELECT round, place, value, n FROM accuracy WHERE metric = 'accuracy'")
    for (number, place), steps in rows.group_by("round", "place"):
        value, n = whole.row(by_predicate=(pl.col("round") == number) & (pl.col("place") == place))[2:]
        assert set(steps["steps"]) <= {1, 2, 3}
        assert steps["prompts"].sum() == n
        assert (steps["prompts"] * steps["accuracy"]).sum() == pytest.approx(value * n)
        assert (steps["problems"] <= steps["prompts"]).all()
    assert rows.select("round", "place").unique().height == whole.height == 4
    by_steps = status(unwatched)[0]["champion"]["by_steps"]
    assert [one["steps"] for one in by_steps] == rows.filter(round=0, place="champion")["steps"].to_list()
    held_out = read(unwatched, "prompts").filter(pl.col("split") == "eval")
    assert not held_out["problem"].has_nulls()
