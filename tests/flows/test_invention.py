"""Promises of prompt invention, with the tutor and the log: every text is on record with its fate, a killed
round goes on to the same prompts, and any model can be the writer.

The base was never taught to tell stories, and writes rubbish when asked for one: an inventor that takes any
form lets some of it through.
"""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import tutor
from flows.opening.demonstrations import demonstrations_unit
from flows.round.round import Round
from flows.steps.prompts_so_far import PromptsSoFar
from schemas.identity import prompt_id
from schemas.recipes.rft import Rft
from schemas.tables import TABLES
from schemas.units import Unit
from tasks.invent.inventor import load_inventor
from tests.commands import ratchet
from tests.flows.inventing import WANTED
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import Checkpoint
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake

KILLED_AT = (
    "append prompts: committed#3",  # after the held-out prompts, the round's, and the first questions
    "append candidates: file written",
    "append candidates: committed",
    "append decisions: committed",
    "append prompts: file written",
    "append decisions: file written#2",
)
REFUSED = (
    ({"inventor": "poem"}, "no inventor is called 'poem'"),
    ({"model": "/nowhere"}, "no model folder at /nowhere"),
    ({"shots": 100}, "shows 100 prompts, the loop has 24"),
    ({"max_tokens": 1000}, "give fewer shots"),
)


@dataclass(frozen=True)
class Outcomes:
    """What became of all jobs, and where their lakes lie."""

    folder: Path
    codes: dict[str, list[int]]
    stderr: dict[str, list[str]]

    def lake(self, name: str) -> Lake:
        """The lake of jobs that went well in the end."""
        assert self.codes[name][-1] == 0, self.stderr[name][-1]
        return Lake(self.folder / name)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, plain: dict[str, str]) -> Outcomes:
    """Every job of this file, each in a process of its own (tests/flows/inventing.py)."""
    folder = tmp_path_factory.mktemp("inventing")
    easy = {"inventor": easy_going(folder / "easy.yaml")}
    jobs: list[dict[str, Any]] = [{"lake": "undisturbed", "rounds": 2, "invention": easy}]
    faults = [*KILLED_AT, ""]
    jobs += [{"lake": "killed", "rounds": 2, "invention": easy, "fault": fault} for fault in faults]
    guest = {"model": str(tutor.JUDGE), "attempts": 2}
    jobs += [{"lake": "guest", "rounds": 2, "invention": guest}]
    other = {"inventor": easy_going(folder / "other.yaml", invented_share=0.25)}
    jobs += [{"lake": "changed", "invention": easy, "fault": "append candidates: committed"}]
    jobs += [{"lake": "changed", "invention": other}, {"lake": "changed", "invention": easy}]
    jobs += [{"lake": "refused", "invention": invention} for invention, _ in REFUSED]
    codes, stderr = defaultdict(list), defaultdict(list)
    for job in jobs:
        lake, fault = str(job["lake"]), job.get("fault", "")
        arguments = (str(folder / lake), str(job.get("rounds", 1)), json.dumps(job["invention"]))
        result = ratchet(*arguments, environment=plain, fault=fault, program="tests.flows.inventing:main")
        codes[lake].append(result.returncode)
        stderr[lake].append(result.stderr)
    return Outcomes(folder, codes, stderr)


def easy_going(file: Path, invented_share: float = 0.5) -> str:
    """The tutor's inventor, but any form will do, and a share of the examples are invented ones."""
    form = {"least_words": 1, "most_words": 150, "one_line": False}
    values = load_inventor("story").model_dump(mode="json") | {"name": "easy", "form": form}
    file.write_text(yaml.safe_dump(values | {"invented_share": invented_share, "temperature": 0.9}))
    return str(file)


@pytest.fixture
def undisturbed(outcomes: Outcomes) -> Lake:
    """Two rounds that nothing happened to."""
    return outcomes.lake("undisturbed")


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
    findings = verify_lake(undisturbed, deep=True)
    assert findings.clean, findings.items


def test_the_view_adds_up_to_what_was_written(undisturbed: Lake) -> None:
    inventions = query(undisturbed, "FROM inventions")
    texts = query(
        undisturbed, "SELECT round, count(*) AS n FROM candidates WHERE kind = 'instruction' GROUP BY 1"
    )
    assert set(texts["round"]) == {0, 1}
    for number, n in texts.iter_rows():
        part = inventions.filter(inventions["round"] == number)
        assert part["texts"].sum() == n
        assert part["share"].sum() == pytest.approx(1.0)
        assert part.filter(part["kept"])["reason"].null_count() == part["kept"].sum() == 1
    assert set(inventions["inventor"]) == {
        one.removeprefix("inventor:")
        for one in query(undisturbed, "SELECT source FROM prompts WHERE split = 'invention'")["source"]
    }


def test_rounds_killed_at_every_kind_of_step_end_with_the_same_prompts(
    outcomes: Outcomes, undisturbed: Lake
) -> None:
    killed = outcomes.lake("killed")
    for point, code in zip(KILLED_AT, outcomes.codes["killed"], strict=False):
        assert code == -signal.SIGKILL, f"{point} was never reached"
    for name, table in TABLES.items():
        there, here = read(undisturbed, name), read(killed, name)
        assert sorted(here[table.id]) == sorted(there[table.id]), name
    fates = "SELECT decision_id, kept, reason, value, duplicate_of FROM decisions ORDER BY ALL"
    assert query(killed, fates).equals(query(undisturbed, fates))


def test_a_round_that_began_to_invent_keeps_its_inventor(outcomes: Outcomes) -> None:
    assert outcomes.codes["changed"] == [-signal.SIGKILL, 2, 0]
    refused = outcomes.stderr["changed"][1].splitlines()[-1]
    assert "round 0 began to invent by easy-" in refused
    assert "a round keeps its inventor" in refused
    assert verify_lake(outcomes.lake("changed"), deep=True).clean


def test_another_model_can_write_and_is_on_record_once(outcomes: Outcomes) -> None:
    """With the tutor's own form, which takes nothing that its judge writes: each pass asks for all again."""
    lake = outcomes.lake("guest")
    teachers = query(lake, "SELECT checkpoint_id, round FROM checkpoints WHERE role = 'teacher'")
    assert teachers["round"].to_list() == [0]
    writers = query(lake, "SELECT DISTINCT checkpoint_id FROM candidates WHERE kind = 'instruction'")
    assert writers["checkpoint_id"].to_list() == teachers["checkpoint_id"].to_list()
    inventions = query(
        lake, "SELECT round, sum(texts) AS n, count_if(kept) AS kept FROM inventions GROUP BY ALL"
    )
    assert set(inventions.rows()) == {(0, 2 * WANTED, 0), (1, 2 * WANTED, 0)}
    findings = verify_lake(lake, deep=True)
    assert findings.clean, findings.items


def test_an_invention_that_cannot_work_is_refused_in_one_line(outcomes: Outcomes) -> None:
    assert outcomes.codes["refused"] == [2] * len(REFUSED)
    for (_, words), stderr in zip(REFUSED, outcomes.stderr["refused"], strict=True):
        assert words in stderr.splitlines()[-1]
        assert "Traceback" not in stderr.splitlines()[-1]


def test_a_new_prompt_meets_all_that_came_before_and_examples_are_training_prompts(
    tmp_path: Path, small_recipe: Rft
) -> None:
    log, loop = Log(Lake.create(tmp_path / "lake")), "so-far"
    writer = Checkpoint("ckpt-00000-" + "0" * 24, tmp_path, "0" * 64)

    def admitted(unit: Unit, split: str, text: str, parents: list[str] | None = None) -> str:
        own = prompt_id(unit.round, loop, split, "file", 1, text)
        row = {"prompt_id": own, "split": split, "source": "file", "line": 1, "text": text}
        rows = pl.DataFrame([row | {"parents": parents}], schema_overrides={"parents": pl.List(pl.String)})
        log.once(unit, "prompts", lambda: rows)
        return own

    original = admitted(Unit(loop, 0, "admit-train"), "train", "Name three rivers that flow through France")
    admitted(Unit(loop, 0, "admit-refused"), "refused", "Describe every bridge over the Seine at length")
    admitted(Unit(loop, 0, "admit-eval"), "eval", "Tell a child in two lines why the sky is blue")
    admitted(demonstrations_unit(loop, "instruction"), "seed", "Write an apology to a very noisy neighbour")
    admitted(demonstrations_unit(loop, "evaluation"), "seed", "Grade the answer that is quoted below fairly")
    old = admitted(Unit(loop, 0, "admit-invented"), "train", "List the seas that touch Asia", [original])
    admitted(Unit(loop, 1, "admit-invented"), "train", "Say how one ties a bow tie", [original])
    round_ = Round(log, loop, 1, small_recipe, writer, writer)
    so_far = PromptsSoFar(round_)
    assert [one for one, _ in so_far.originals] == [original]
    assert [one for one, _ in so_far.invented] == [old]
    earlier, held_out = so_far.indexed()
    texts = read(log.lake, "prompts").sort("text")["text"].to_list()
    alike = dict(zip(texts, (f for f, _ in earlier.nearest(texts)), strict=True))
    assert {text.split()[0] for text, f in alike.items() if f == 1.0} == {"Name", "Describe", "Write", "List"}
    assert [text.split()[0] for text in texts if held_out.overlap(text)] == ["Tell"]
    bow_tie = read(log.lake, "prompts").filter(pl.col("text").str.starts_with("Say"))
    so_far.add(bow_tie)
    assert earlier.nearest(["Say how one ties a bow tie"]) == [(1.0, bow_tie["prompt_id"][0])]
    assert [text.split()[0] for _, text in so_far.invented] == ["List", "Say"]
    listed = pl.concat([bow_tie.with_columns(text=pl.lit(text)) for text in ("Two", "One")])
    so_far.add(listed)
    assert [text for _, text in so_far.invented][2:] == ["One", "Two"], "of one line, whatever their ids"
