"""Promises of prompt invention, with the tutor and the log: every text is on record with its fate, a killed
round goes on to the same prompts, and any model can be the writer.

The base was never taught to tell stories, and writes rubbish when asked for one: an inventor that takes any
form lets some of it through.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tutor
from schemas.tables import TABLES
from tasks.generate.inventor import load_inventor
from tests.conftest import REPOSITORY
from tests.flows.inventing import WANTED
from warehouse.lake import Lake
from warehouse.query import query, read
from warehouse.verify.lake import verify

KILLED_AT = (
    "append prompts: committed#3",  # after the held-out prompts, the round's, and the first questions
    "append candidates: file written",
    "append candidates: committed",
    "append decisions: file written",
    "append decisions: committed",
    "append prompts: file written",
    "append candidates: file written#3",
    "append decisions: committed#2",
)


def inventing(
    root: Path,
    environment: dict[str, str],
    *settings: str,
    rounds: int = 1,
    fault: str | None = None,
    **invention: object,
) -> subprocess.CompletedProcess[str]:
    """Rounds of invention in a process of their own."""
    given = os.environ | environment | ({"RATCHET_FAULT": fault} if fault else {})
    command = [sys.executable, "-m", "tests.flows.inventing", str(root), json.dumps(invention), str(rounds)]
    return subprocess.run(
        [*command, *settings],
        env=given | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=REPOSITORY,
    )


@pytest.fixture(scope="module")
def easy_going(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tutor's inventor, but any form will do, and half of the examples are invented ones."""
    form = {"least_words": 1, "most_words": 150, "one_line": False}
    values = load_inventor("story").model_dump(mode="json") | {"name": "easy", "form": form}
    file = tmp_path_factory.mktemp("inventors") / "easy.yaml"
    file.write_text(yaml.safe_dump(values | {"invented_share": 0.5, "temperature": 0.9}))
    return str(file)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: dict[str, str], easy_going: str
) -> Lake:
    """Two rounds that nothing happened to."""
    root = tmp_path_factory.mktemp("undisturbed") / "lake"
    done = inventing(root, prefect_server, rounds=2, inventor=easy_going)
    assert done.returncode == 0, done.stderr
    return Lake(root)


def test_every_text_is_a_fact_with_its_fate_and_its_parents(undisturbed: Lake) -> None:
    texts = query(undisturbed, "SELECT * FROM candidates WHERE kind = 'instruction'")
    fates = query(
        undisturbed,
        "SELECT round, candidate_id, arg_max(kept, position) AS kept, count_if(NOT kept) AS falls,"
        " count_if(NOT kept AND reason IS NULL) AS unexplained FROM decisions GROUP BY ALL",
    )
    assert sorted(fates["candidate_id"]) == sorted(texts["candidate_id"])
    assert fates["unexplained"].sum() == 0
    assert (fates["falls"] == 1 - fates["kept"].cast(int)).all()
    admitted = query(undisturbed, "SELECT * FROM prompts WHERE source LIKE 'invented:%' ORDER BY round, line")
    assert 0 < admitted.height == fates["kept"].sum() < texts.height
    assert admitted.group_by("round").len()["len"].max() <= WANTED
    assert set(admitted["split"]) == {"train"}
    assert admitted["reference"].null_count() == admitted["topic"].null_count() == admitted.height
    traced = query(
        undisturbed,
        """
        SELECT count(*) AS n FROM prompts AS p
        JOIN prompts AS ask USING (loop, round, line, parents)
        JOIN candidates AS c ON c.loop = p.loop AND c.prompt_id = ask.prompt_id AND trim(c.text) = p.text
        WHERE p.source = 'invented:' || c.checkpoint_id AND ask.split = 'invention'""",
    )
    assert traced["n"][0] == admitted.height, "each can be followed to the text and the question it came from"
    examples = query(
        undisturbed,
        "SELECT e.source LIKE 'invented:%' AS machine, count(*) AS n FROM prompts AS ask,"
        " unnest(ask.parents) AS u(parent) JOIN prompts AS e ON e.prompt_id = u.parent"
        " WHERE ask.split = 'invention' GROUP BY 1 ORDER BY 1",
    )
    assert examples["machine"].to_list() == [False, True], "invented prompts are examples of later ones"
    findings = verify(undisturbed, deep=True)
    assert findings.clean, findings.found


def test_the_view_adds_up_to_what_was_written(undisturbed: Lake) -> None:
    told = query(undisturbed, "FROM inventions")
    written = query(
        undisturbed, "SELECT round, count(*) AS n FROM candidates WHERE kind = 'instruction' GROUP BY 1"
    )
    assert set(written["round"]) == {0, 1}
    for number, n in written.iter_rows():
        part = told.filter(told["round"] == number)
        assert part["texts"].sum() == n
        assert part["share"].sum() == pytest.approx(1.0)
        assert part.filter(part["kept"])["reason"].null_count() == part["kept"].sum() == 1
    assert set(told["inventor"]) == {
        one.removeprefix("inventor:")
        for one in query(undisturbed, "SELECT source FROM prompts WHERE split = 'invention'")["source"]
    }


def test_rounds_killed_at_every_kind_of_step_end_with_the_same_prompts(
    undisturbed: Lake, tmp_path: Path, prefect_server: dict[str, str], easy_going: str
) -> None:
    root = tmp_path / "lake"
    for point in KILLED_AT:
        killed = inventing(root, prefect_server, rounds=2, inventor=easy_going, fault=point)
        assert killed.returncode == -signal.SIGKILL, f"{point} was never reached: {killed.stderr}"
    done = inventing(root, prefect_server, rounds=2, inventor=easy_going)
    assert done.returncode == 0, done.stderr
    for name, table in TABLES.items():
        there, here = read(undisturbed, name), read(Lake(root), name)
        assert sorted(here[table.id]) == sorted(there[table.id]), name
    fates = "SELECT decision_id, kept, reason, value, duplicate_of FROM decisions ORDER BY ALL"
    assert query(Lake(root), fates).equals(query(undisturbed, fates))


def test_another_model_can_write_and_is_on_record_once(
    tmp_path: Path, prefect_server: dict[str, str]
) -> None:
    """With the tutor's own form, which takes nothing that its judge writes: each pass asks for all again."""
    root = tmp_path / "lake"
    done = inventing(root, prefect_server, rounds=2, model=str(tutor.JUDGE), attempts=2)
    assert done.returncode == 0, done.stderr
    lake = Lake(root)
    teachers = query(lake, "SELECT checkpoint_id, round FROM checkpoints WHERE role = 'teacher'")
    assert teachers["round"].to_list() == [0]
    written = query(lake, "SELECT DISTINCT checkpoint_id FROM candidates WHERE kind = 'instruction'")
    assert written["checkpoint_id"].to_list() == teachers["checkpoint_id"].to_list()
    told = query(lake, "SELECT round, sum(texts) AS n, count_if(kept) AS kept FROM inventions GROUP BY ALL")
    assert set(told.rows()) == {(0, 2 * WANTED, 0), (1, 2 * WANTED, 0)}
    findings = verify(lake, deep=True)
    assert findings.clean, findings.found


@pytest.mark.parametrize(
    ("invention", "words"),
    [
        ({"inventor": "poem"}, "no inventor is called 'poem'"),
        ({"model": "/nowhere"}, "no model folder at /nowhere"),
        ({"shots": 100}, "shows 100 prompts, the loop has 24"),
        ({"max_tokens": 1000}, "give fewer shots"),
    ],
)
def test_an_invention_that_cannot_work_is_refused_in_one_line(
    tmp_path: Path, prefect_server: dict[str, str], invention: dict[str, object], words: str
) -> None:
    refused = inventing(tmp_path / "lake", prefect_server, **invention)
    assert refused.returncode == 2
    assert words in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
