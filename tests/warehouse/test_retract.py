"""Promises of taking back: nothing is deleted, later freezes leave it out, holders are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.pages.retract import plan_lines
from flows.pages.status import status
from schemas.errors import BadInput, NotFound
from tests.warehouse import story
from warehouse.ancestry.retract import plan, retract
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.share.export import export
from warehouse.verify.lake import verify_lake


def exported(lake: Lake, what: str, to: Path) -> str:
    """The card of a round's training set."""
    export(lake, what, to, "parquet")
    return (to / "README.md").read_text("utf-8")


def trained(lake: Lake, loop: str) -> list[dict[str, Any]]:
    """The checkpoints that a loop of the story trained, oldest first."""
    rows = read(lake, "checkpoints", {"loop": loop}).filter(pl.col("training_id").is_not_null())
    return rows.sort("round").to_dicts()


def test_later_freezes_leave_out_what_was_made_from_a_line_that_was_taken_back(
    full: Lake, tmp_path: Path
) -> None:
    before = {name: frame for name, frame in story.facts(full).items() if name != "retractions"}
    assert status(full, "ada")[-1]["holds_retracted"] == []
    row = retract(full, "source=story:2", "it was wrong")
    assert (row["what"], row["why"]) == ("source=story:2", "it was wrong")
    assert retract(full, "source=story:2", "again")["retraction_id"] == row["retraction_id"]
    assert all(story.facts(full)[name].equals(frame) for name, frame in before.items()), "nothing is deleted"
    log = Log(full)
    story.play(log, "ada", 2)
    story.play(log, "ada", 3, closes=False)
    sizes = read(full, "snapshots", {"loop": "ada"}).sort("round")["rows"].to_list()
    assert sizes == [*[story.PROMPTS] * 3, story.PROMPTS - 1]
    lines = query(
        full,
        "SELECT line FROM examples JOIN prompts AS p USING (prompt_id) WHERE p.round = 3 ORDER BY line",
    )
    assert lines["line"].to_list() == [1, 3, 4]
    assert verify_lake(full, deep=True).clean
    assert status(full, "ada")[-1]["holds_retracted"] == ["source=story:2"]
    assert "was taken back" not in exported(full, "ada/3", tmp_path / "later"), "nothing of it"
    card = exported(full, "ada/1", tmp_path / "out")
    assert "What was taken back since" in card
    assert "it was wrong | 1 |" in card


def test_a_round_whose_every_example_was_taken_back_freezes_nothing_and_says_so(full: Lake) -> None:
    """With the kind of error by which a night closes the round as stopped."""
    retract(full, "verifier=maths:1", "it accepted anything")
    log = Log(full)
    story.play(log, "bob", 2)
    with pytest.raises(BadInput, match="all 4 examples that round 3 of loop bob kept were taken back"):
        story.play(log, "bob", 3)
    assert read(full, "snapshots", {"loop": "bob", "round": 3}).is_empty()


def test_the_plan_names_snapshots_and_trainings_from_the_first_that_learned_it(full: Lake) -> None:
    answer = (
        read(full, "candidates", {"loop": "ada", "round": 1}).filter(kind="answer")["candidate_id"].sort()[0]
    )
    (one,) = plan(full, answer)
    trained = (
        read(full, "checkpoints", {"loop": "ada"}).filter(pl.col("training_id").is_not_null()).sort("round")
    )
    assert one["loop"] == "ada"
    assert one["clean"] == trained["checkpoint_id"][0]
    assert [again["training_id"] for again in one["again"]] == [trained["training_id"][1]]
    assert [again["left_out"] for again in one["again"]] == [1]
    assert one["champion"] == trained["checkpoint_id"][1], "round 2 is open"
    page = "\n".join(plan_lines(answer, None, [one]))
    assert f"begin from {one['clean']}" in page
    assert "without 1 examples" in page
    assert [again["drawn_again"] for again in one["again"]] == [False], "its writer is clean"
    reference = read(full, "candidates", {"loop": "ada"}).filter(kind="reference")["candidate_id"][0]
    assert plan(full, reference) == []


def test_what_a_holder_wrote_is_drawn_again(full: Lake) -> None:
    rows = read(full, "candidates", {"loop": "ada", "round": 0}).filter(kind="answer")
    answer = rows["candidate_id"].sort()[0]
    first, second, _ = trained(full, "ada")
    (one,) = plan(full, answer)
    assert one["clean"] == first["parent_id"]
    assert [(again["made"], again["left_out"], again["drawn_again"]) for again in one["again"]] == [
        (first["checkpoint_id"], 1, False),
        (second["checkpoint_id"], 0, True),
    ]
    page = "\n".join(plan_lines(answer, None, [one]))
    assert page.count("drawn again, since a writer of it holds it,") == 1


def test_weights_that_were_taken_back_are_not_offered_as_clean(full: Lake) -> None:
    first, second, _ = trained(full, "ada")
    (one,) = plan(full, first["checkpoint_id"])
    assert one["clean"] == first["parent_id"]
    assert [again["made"] for again in one["again"]] == [second["checkpoint_id"]]
    (one,) = plan(full, first["parent_id"])
    assert one["clean"] is None
    assert len(one["again"]) == 2
    assert "no checkpoint of this lake" in "\n".join(plan_lines("it", None, [one]))


def test_what_cannot_be_taken_back_is_refused_and_nothing_is_recorded(full: Lake) -> None:
    made = read(full, "checkpoints").filter(pl.col("training_id").is_not_null()).row(0, named=True)
    for what in (made["training_id"], read(full, "snapshots")["snapshot_id"][0]):
        with pytest.raises(BadInput, match="taken back are prompts"):
            retract(full, what, "why")
    with pytest.raises(BadInput, match="say why"):
        retract(full, made["checkpoint_id"], " ")
    with pytest.raises(NotFound):
        retract(full, "source=none", "why")
    assert read(full, "retractions").is_empty()
