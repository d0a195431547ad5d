"""Self-rewarding rounds: `python -m bench.lab rewards --rounds 4 --seeds 0 1 2 --lake FOLDER`.

The tutor's self-rewarding as it ships, its champion measured after each round on the locked final suite
(bench/final.py) beside the gate's own; with --control also the same without judging kept in training, and
judged by another model, of the first seed. The same command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tutor
from bench.final import final_rows, loop_done
from schemas.recipes.self_rewarding import SelfRewarding
from tutor.seeds import BLIND
from warehouse.lake import Lake
from warehouse.query import query

CONTROLS: Mapping[str, dict[str, object]] = {
    "judging-not-kept": {"seeds__keep_judging": 0},
    "another-judge": {"rewarding__model": str(tutor.JUDGE)},
}
"""What differs in the controls."""

_FACTS = ("pairs", "no pair", "chosen right", "rejected right", "agreement", "blind")


def rewards(
    lake: str,
    seeds: list[int],
    rounds: int,
    recipe: Callable[..., SelfRewarding],
    controls: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Every arm: the start, then the champion after each round, its pairs and how the judge did."""
    rows = []
    for seed in seeds:
        rows += _rows(lake, "self-rewarding", seed, rounds, recipe(seed=seed))
    for control in controls:
        rows += _rows(lake, control, seeds[0], rounds, recipe(seed=seeds[0], **CONTROLS[control]))
    return rows


def _rows(lake: str, arm: str, seed: int, rounds: int, recipe: SelfRewarding) -> list[dict[str, Any]]:
    loop = f"{arm}-{seed}"
    measured = final_rows(arm, seed, lake, loop_done(lake, loop, rounds, recipe))
    facts = query(Lake(lake), _JUDGED, {"loop": loop, "blind": sorted(BLIND)}).to_dicts()
    by_round = {str(row["round"]): row for row in facts}
    return [row | {name: by_round.get(row["round"], {}).get(name) for name in _FACTS} for row in measured]


_JUDGED = """
    WITH judge AS (
        SELECT round, sum(agreement * answers) / sum(answers) AS agreement,
               avg(agreement) FILTER (topic IN (SELECT unnest($blind))) AS blind
        FROM judge_agreement WHERE loop = $loop GROUP BY round
    )
    SELECT round, sum(pairs)::INT AS pairs, sum((ties + near_ties) * prompts) / sum(prompts) AS "no pair",
           sum(chosen_right * pairs) / sum(pairs) AS "chosen right",
           sum(rejected_right * pairs) / sum(pairs) AS "rejected right",
           any_value(agreement) AS agreement, any_value(blind) AS blind
    FROM rewards JOIN judge USING (round) WHERE loop = $loop GROUP BY round"""
