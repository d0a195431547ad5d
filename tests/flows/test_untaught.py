"""Promises of rounds that learn what is new: what the champion has not learned, in a budget; the control."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from flows.nightly import night
from schemas.recipes.rft import Rft
from warehouse.lake import Lake
from warehouse.query import query
from warehouse.verify.lake import verify_lake

TRAINED = """
    SELECT s.round, c.round AS written_in, c.candidate_id FROM examples AS e
    JOIN snapshots AS s USING (snapshot_id) JOIN candidates AS c USING (candidate_id) ORDER BY ALL"""


def lake_of(root: Path, recipe: Rft, rounds: int) -> tuple[Lake, list[str]]:
    """So many rounds without a server: their lake and verdicts."""
    done = night.fn(recipe, "night", rounds, str(root / "lake"))
    return Lake(root / "lake"), [one["verdict"] for one in done]


def changed(recipe: Rft, alpha: float, **values: object) -> Rft:
    """The recipe with other values; a gate of alpha 1 opens for any gain, one of 1e-9 never."""
    gate = recipe.gate.model_copy(update={"alpha": alpha})
    return recipe.model_copy(update={"gate": gate, "start_from": "champion", **values})


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, small_recipe: Rft) -> Lake:
    """Three rounds that are never promoted, with room for two answers of earlier rounds."""
    recipe = changed(small_recipe, 1e-9, pool_untaught=True, pool_budget=2)
    lake, verdicts = lake_of(tmp_path_factory.mktemp("held"), recipe, 3)
    assert verdicts == ["held"] * 3
    return lake


def test_what_held_rounds_kept_is_learned_again_newest_first_and_no_more_than_the_budget(held: Lake) -> None:
    trained = query(held, TRAINED)
    earlier = trained.filter(pl.col("written_in") < pl.col("round"))
    assert earlier.group_by("round").len().sort("round").rows() == [(1, 2), (2, 2)]
    assert set(earlier.filter(round=2)["written_in"]) == {1}


def test_what_the_budget_leaves_out_has_its_decision_with_a_reason(held: Lake) -> None:
    decided = query(held, "SELECT round, kept, reason, rank FROM decisions WHERE filter = 'budget'")
    out = decided.filter(~pl.col("kept"))
    assert out.height
    assert set(out["reason"]) == {"over budget"}
    assert out["rank"].min() == 2
    assert decided.filter(pl.col("rank").is_null())["kept"].all()
    assert verify_lake(held, deep=True).items == []


def test_what_a_champion_has_learned_it_is_not_taught_again(tmp_path: Path, small_recipe: Rft) -> None:
    recipe = changed(small_recipe, 1.0, pool_untaught=True)
    lake, verdicts = lake_of(tmp_path, recipe, 2)
    since = 0
    for number, verdict in enumerate(verdicts):
        of_round = query(lake, TRAINED).filter(round=number)
        assert of_round["written_in"].min() >= since
        since = number + 1 if verdict == "promoted" else since
    assert "promoted" in verdicts


def test_the_control_learns_so_many_answers_whatever_a_verifier_says(
    tmp_path: Path, small_recipe: Rft
) -> None:
    lake, _ = lake_of(tmp_path, changed(small_recipe, 1.0, unfiltered=(12, 20)), 2)
    trained = query(lake, TRAINED)
    assert trained.group_by("round").len().sort("round")["len"].to_list() == [12, 20]
    assert trained.filter(pl.col("written_in") != pl.col("round")).is_empty()
    outcomes = query(lake, "SELECT DISTINCT s.outcome FROM examples JOIN scores AS s USING (candidate_id)")
    assert set(outcomes["outcome"]) > {"pass"}
    assert verify_lake(lake, deep=True).items == []
