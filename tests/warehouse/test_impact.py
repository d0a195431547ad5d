"""Promises of impact: what descends from something is said to, with steps and shares, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.pages.impact import impact_lines
from schemas.errors import BadInput, NotFound
from tests.warehouse.preferences import play, preference
from tests.warehouse.story import PROMPTS
from warehouse.ancestry.impact import impact
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read


@pytest.fixture(scope="module")
def lake(told: Path) -> Lake:
    """The lake with a whole story, to read."""
    return Lake(told)


def trained(lake: Lake, loop: str) -> list[str]:
    """The checkpoints that a loop of the story trained, oldest first."""
    rows = read(lake, "checkpoints", {"loop": loop}).filter(pl.col("training_id").is_not_null())
    return rows.sort("round")["checkpoint_id"].to_list()


def counts(told: dict[str, Any], table: str) -> int:
    """How many rows of a table were reached."""
    return sum(one["rows"] for one in told["rows"] if one["table"] == table)


def test_an_answer_reaches_its_snapshot_by_data_and_all_later_ones_by_weights(lake: Lake) -> None:
    answers = read(lake, "candidates", {"loop": "ada", "round": 0}).filter(kind="answer").sort("candidate_id")
    told = impact(lake, answers["candidate_id"][1])
    line = trained(lake, "ada")
    assert [one["checkpoint_id"] for one in told["checkpoints"]] == line
    assert [one["how"] for one in told["checkpoints"]] == ["trained on it", "by weights", "by weights"]
    first = told["checkpoints"][0]
    assert (first["steps"], first["of_steps"], first["seen"], first["share"]) == (1, 1, 1, 1 / PROMPTS)
    assert [(one["examples"], one["by_weights"], one["of"]) for one in told["snapshots"]] == [
        (1, 0, PROMPTS),
        (0, PROMPTS, PROMPTS),
        (0, PROMPTS, PROMPTS),
    ]
    assert counts(told, "candidates") == 1 + 2 * PROMPTS, "itself, and the answers of two later rounds"
    assert counts(told, "evaluations") == len(told["evaluations"]) == len(line)
    page = "\n".join(impact_lines(told))
    assert (
        f"{line[0]} (policy, loop ada, round 0): trained on it, in 1 of 1 steps, 25.0% of what was seen"
        in page
    )


def test_what_no_filter_kept_reached_no_training(lake: Lake) -> None:
    references = read(lake, "candidates", {"loop": "bob", "round": 1}).filter(kind="reference")
    told = impact(lake, references["candidate_id"][0])
    assert told["snapshots"] == told["checkpoints"] == told["evaluations"] == []
    assert counts(told, "scores") == counts(told, "decisions") == 1
    assert "  no training has used it" in list(impact_lines(told))


@pytest.mark.parametrize(
    ("what", "share"),
    [
        ("source=story:2", 1 / PROMPTS),
        ("verifier=maths:1", 1.0),
    ],
)
def test_a_file_a_line_of_it_and_a_verifiers_version_are_followed_through_every_loop(
    lake: Lake, what: str, share: float
) -> None:
    told = impact(lake, what)
    assert told["id"] == what
    assert {one["share"] for one in told["snapshots"]} == {share}
    assert {one["checkpoint_id"] for one in told["checkpoints"]} == {
        *trained(lake, "ada"),
        *trained(lake, "bob"),
    }


@pytest.mark.parametrize(
    "what",
    [
        *("source=other", "verifier=maths:9", "verifier=maths:", "principle=none", "source=story:77"),
        *("source=story:x", "source=story:", "source=story:2.2", "source=story:99999999999999999999"),
    ],
)
def test_what_the_lake_does_not_hold_is_said_in_a_line(lake: Lake, what: str) -> None:
    with pytest.raises(NotFound, match=f"holds nothing of {what}"):
        impact(lake, what)


@pytest.mark.parametrize("what", ["colour=red", "source=", "=x"])
def test_what_names_nothing_is_refused(lake: Lake, what: str) -> None:
    with pytest.raises(BadInput, match="is neither an id nor one of source="):
        impact(lake, what)


def test_beyond_the_bound_the_same_checkpoints_are_told_from_what_snapshots_say(lake: Lake) -> None:
    prompt = query(lake, "SELECT min(prompt_id) AS own FROM prompts WHERE loop = 'ada' AND round = 1")["own"][
        0
    ]
    whole, short = impact(lake, prompt), impact(lake, prompt, walked=0)
    assert (whole["whole"], short["whole"]) == (True, False)
    for name in ("checkpoint_id", "how", "steps", "share"):
        assert [one[name] for one in short["checkpoints"]] == [one[name] for one in whole["checkpoints"]]
    assert short["evaluations"] == whole["evaluations"] != []
    assert [one["snapshot_id"] for one in short["snapshots"]] == [
        one["snapshot_id"] for one in whole["snapshots"]
    ]
    assert "too large to count" in "\n".join(impact_lines(short))


def test_a_line_of_a_file_of_peoples_choices_is_that_preference_alone(tmp_path: Path) -> None:
    log = Log(Lake.create(tmp_path / "lake"))
    places = (
        "choices.jsonl, line 2",
        "choices.jsonl, line 12",
        "choices.jsonl, record 2",
        "more, choices.jsonl",
    )
    rows = [preference(index, 3) | {"source": place} for index, place in enumerate(places[:3])]
    play(log, [*rows, preference(0, 1) | {"source": places[3]}])
    assert impact(log.lake, "source=choices.jsonl")["began"] == {"preferences": 3}
    assert impact(log.lake, "source=choices.jsonl:12")["began"] == {"preferences": 1}
    assert impact(log.lake, "source=choices.jsonl:2")["began"] == {"preferences": 2}
    for what in ("source=choices.jsonl:", "source=choices.jsonl:1", "source=choices.jsonl:line 2"):
        with pytest.raises(NotFound, match="holds nothing of"):
            impact(log.lake, what)
