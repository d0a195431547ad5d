"""Promises of pairs with labels: one label over all verdicts, whichever side each of them chose."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from schemas.errors import RatchetError
from schemas.identity import decision_id, preference_id
from schemas.units import Unit
from tests.warehouse.preferences import LOOP, asked, play, preference, rows_of, written
from warehouse.log import Log
from warehouse.query import query
from warehouse.snapshot import freeze

DECIDED = Unit(LOOP, 0, "filter")


def voice(
    chosen: int, rejected: int, probability: float | None, principle: str, **more: Any
) -> dict[str, Any]:
    """A verdict under a principle."""
    row = preference(chosen, rejected, points=None, probability=probability, **more)
    pair = str(row["chosen_id"]), str(row["rejected_id"])
    own = preference_id(0, *pair, principle, str(row["judge_checkpoint_id"]))
    return row | {"preference_id": own, "principle": principle}


def labels(log: Log) -> list[tuple[Any, ...]]:
    sql = "SELECT chosen_id, rejected_id, probability, verdicts, unusable FROM labelled_pairs ORDER BY ALL"
    return query(log.lake, sql).rows()


def frozen(log: Log, kept: list[str]) -> pl.DataFrame:
    """What a preference model learns from, where the last filter kept these candidates."""
    rows = [(decision_id(0, LOOP, 0, "kept", one), one, asked("train", 0), True, "kept", 0) for one in kept]
    columns = ["decision_id", "candidate_id", "prompt_id", "kept", "filter", "position"]
    log.once(DECIDED, "decisions", lambda: pl.DataFrame(rows, schema=columns, orient="row"))
    parameters = {"loop": LOOP, "round": 0, "units": [DECIDED.key]}
    snapshot = freeze(log, Unit(LOOP, 0, "freeze-reward"), "reward", [DECIDED.key], parameters)
    return rows_of(log.lake, snapshot)


def test_the_label_is_the_mean_over_all_that_said_something(log: Log) -> None:
    play(log, [voice(0, 1, 0.9, "a"), voice(1, 0, 0.6, "b"), voice(0, 1, None, "c")])
    assert labels(log) == [(written("train", 0, 0), written("train", 0, 1), pytest.approx(0.65), 2, 1)]


def test_a_majority_on_the_other_side_turns_the_pair(log: Log) -> None:
    play(log, [voice(0, 1, 0.6, "a"), voice(1, 0, 0.9, "b")])
    assert labels(log) == [(written("train", 0, 1), written("train", 0, 0), pytest.approx(0.65), 2, 0)]


def test_neither_and_no_verdict_are_told_apart_and_rewards_are_certain(log: Log) -> None:
    play(log, [voice(0, 1, 0.5, "a"), voice(1, 2, None, "a"), preference(2, 3)])
    assert sorted((one[2], one[3]) for one in labels(log) if one[2] is not None) == [(0.5, 1), (1.0, 1)]
    assert [one[3:] for one in labels(log) if one[2] is None] == [(0, 1)]


def test_only_pairs_of_training_with_a_preference_and_both_sides_kept_are_learned(log: Log) -> None:
    play(
        log,
        [
            voice(1, 0, 0.8, "a"),
            voice(1, 0, 0.7, "b"),
            voice(2, 3, 0.5, "a"),
            voice(0, 2, None, "a"),
            voice(1, 3, 0.9, "a"),
            voice(0, 1, 0.9, "a", split="eval"),
            voice(1, 2, 0.9, "a", line=1),
        ],
    )
    kept = [
        *(written("train", 0, index) for index in (0, 1, 2)),
        written("eval", 0, 0),
        written("eval", 0, 1),
    ]
    (row,) = frozen(log, kept).to_dicts()
    assert (row["candidate_id"], row["rejected_id"]) == (written("train", 0, 1), written("train", 0, 0))
    assert row["probability"] == pytest.approx(0.75)


def test_a_round_without_a_preference_freezes_nothing(log: Log) -> None:
    play(log, [voice(0, 1, 0.5, "a")])
    with pytest.raises(RatchetError, match="kept no example"):
        frozen(log, [written("train", 0, 0), written("train", 0, 1)])
