"""Promises of phases: a round that generates, freezes and trains twice keeps both apart."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.recipes.rft.pool import filter_pool
from flows.round.round import Round, begin, close
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.freeze import freeze_examples
from flows.steps.generate import generate
from flows.steps.train import train
from flows.steps.verify import verify_candidates
from schemas.errors import UnitConflict
from schemas.recipes.rft import Rft
from warehouse.lake import Lake
from warehouse.lineage import trace
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.query import query, read
from warehouse.seal import seal_rounds
from warehouse.verify.lake import verify_lake

PHASES = ((1, "first"), (2, "second"))


@pytest.fixture
def opened(tmp_path: Path, small_recipe: Rft) -> Round[Rft]:
    """Round 0 of a new loop on the tutor, begun."""
    log = Log(Lake.create(tmp_path / "lake"))
    open_loop(log, "phased", check_opening(tutor.BASE, small_recipe))
    state = fold(log.lake, "phased")
    assert state is not None
    round_ = Round(log, "phased", 0, small_recipe, state.base, state.champion)
    begin(round_, 0, 1)
    return round_


def phase(round_: Round[Rft], prompts: pl.DataFrame) -> tuple[str, str]:
    """One phase, whole: its snapshot and its checkpoint."""
    candidates = generate(round_, prompts, [round_.champion])
    scores = verify_candidates(round_, prompts, candidates)
    decisions = filter_pool(round_, prompts, candidates, scores)
    snapshot = freeze_examples(round_, decisions)
    assert snapshot is not None
    return snapshot, train(round_, snapshot).id


def test_a_round_of_two_phases_is_kept_apart_resumed_traced_and_sealed(opened: Round[Rft]) -> None:
    prompts = admit(opened)
    results = [phase(opened.in_phase(*one), prompts) for one in PHASES]
    again = [phase(opened.in_phase(*one), prompts) for one in PHASES]
    assert results == again
    (first, first_weights), (second, second_weights) = results
    assert first != second
    assert first_weights != second_weights
    assert admit(opened.in_phase(1, "first")).equals(prompts)

    rows = read(opened.lake, "candidates").filter(kind="answer")
    assert rows["unit"].str.extract(r"/(0[12]-[a-z]+)[.]generate/").n_unique() == 2
    assert rows["candidate_id"].n_unique() == rows.height
    chains = set(read(opened.lake, "decisions")["chain"])
    assert chains == {f"{number:02d}-{name}.filter" for number, name in PHASES}
    assert trace(opened.lake, second_weights)["generations"][0]["snapshot"]["snapshot_id"] == second

    audit(opened)
    close(opened, "held", "a test", None, 0.0)
    seal_rounds(opened.log, "phased")
    assert verify_lake(opened.lake, deep=True).items == []
    status = "SELECT accepted, candidates FROM funnel WHERE loop = 'phased'"
    accepted, candidates = query(opened.lake, status).row(0)
    assert candidates == rows.height
    assert 0 < accepted <= candidates


def test_a_second_freeze_or_training_of_another_thing_is_refused_not_answered_by_the_first(
    opened: Round[Rft],
) -> None:
    prompts = admit(opened)
    candidates = generate(opened, prompts, [opened.champion])
    decisions = filter_pool(opened, prompts, candidates, verify_candidates(opened, prompts, candidates))
    snapshot = freeze_examples(opened, decisions)
    assert snapshot is not None
    assert freeze_examples(opened, decisions) == snapshot
    other = generate(opened.in_phase(1, "more"), prompts, [opened.champion])
    scores = verify_candidates(opened.in_phase(1, "more"), prompts, other)
    more = filter_pool(opened.in_phase(1, "more"), prompts, other, scores)
    with pytest.raises(UnitConflict, match="in another phase"):
        freeze_examples(opened, more)
    trained = train(opened, snapshot)
    assert train(opened, snapshot).id == trained.id
    slower = opened.recipe.training.model_copy(update={"learning_rate": 1e-5})
    with pytest.raises(UnitConflict, match="in another phase"):
        train(opened, snapshot, hyper=slower)
