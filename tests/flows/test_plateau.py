"""Promises of the word that a loop is over: three held rounds, no trend, what is flat, what would help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.nightly import night
from flows.pages.plateau import plateau, plateau_lines
from schemas.recipes.rft import Rft


def a_round(
    number: int, verdict: str, champion: float, challenger: float | None, **more: Any
) -> dict[str, Any]:
    """One value of `status`, as far as it matters here."""
    hardest = {"by_steps": [{"steps": 3, "accuracy": more.get("hardest", 0.14)}]}
    coverage = {"metric": "coverage", "subject": None, "value": more.get("coverage", 0.7)}
    return {
        "loop": "night",
        "round": number,
        "verdict": verdict,
        "champion": {"accuracy": champion},
        "challenger": None if challenger is None else {"accuracy": challenger} | hardest,
        "distinct_paths": more.get("paths", 1.0),
        "audits": [coverage],
        "accepted": more.get("accepted", 2000),
        "trained_on": more.get("trained_on", 2000),
    }


CLIMBED = [a_round(0, "promoted", 0.415, 0.467, paths=0.63, coverage=0.5)]


def test_three_held_rounds_that_lead_nowhere_are_named_with_what_is_flat_and_what_would_help() -> None:
    held = [a_round(n, "held", 0.467, 0.45 - n / 100, trained_on=2000 * (n + 1)) for n in (1, 2, 3, 4)]
    over = plateau([a_round(0, "promoted", 0.415, 0.467), *held])
    assert over is not None
    assert over["held"] == [2, 3, 4]
    assert {one["what"] for one in over["stopped_growing"]} == {
        "paths a question",
        "coverage",
        "accuracy on the hardest",
    }
    assert "pool_untaught" in over["would_help"][0]
    said = "\n".join(plateau_lines(over))
    assert "rounds 2 to 4 were held, 43.0, 42.0, 41.0 against the champion's 46.7" in said
    assert "paths a question 1.0 then, 1.0 now" in said


@pytest.mark.parametrize(
    "later",
    [
        [("held", 0.46)] * 2,
        [("held", 0.46), ("held", 0.46), ("promoted", 0.50)],
        [("held", 0.46), ("held", 0.46), ("open", 0.46)],
        [("held", 0.468), ("held", 0.472), ("held", 0.478)],
    ],
    ids=["two held", "a promotion", "an open round", "a trend"],
)
def test_a_loop_that_may_yet_grow_is_not_called_over(later: list[tuple[str, float]]) -> None:
    rounds = [a_round(n, verdict, 0.467, mark) for n, (verdict, mark) in enumerate(later, start=1)]
    assert plateau([*CLIMBED, *rounds]) is None


def test_what_still_grows_is_not_said_to_have_stopped() -> None:
    held = [a_round(n, "held", 0.467, 0.45, paths=1.2, coverage=0.8, hardest=0.3) for n in (1, 2, 3)]
    over = plateau([*CLIMBED, *held])
    assert over is not None
    assert over["stopped_growing"] == []
    assert over["would_help"]


def test_rounds_in_which_nothing_could_be_trained_are_a_plateau_too() -> None:
    over = plateau([a_round(n, "held", 0.2, None, accepted=0, trained_on=0) for n in range(3)])
    assert over is not None
    assert "none, none, none against the champion's 20.0" in plateau_lines(over)[0]


def test_status_says_it_round_by_round(tmp_path: Path, small_recipe: Rft) -> None:
    barren = small_recipe.model_copy(
        update={"sampling": small_recipe.sampling.model_copy(update={"max_tokens": 1})}
    )
    rounds = night.fn(barren, "night", 3, str(tmp_path / "lake"))
    assert [one["over"] is not None for one in rounds] == [False, False, True]
    assert rounds[-1]["over"]["held"] == [0, 1, 2]
