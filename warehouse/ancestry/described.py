"""What a row of the graph is called where many are shown: the words by which rows are told together."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.columns import SHARED, TEXTS
from schemas.descent import EXAMPLES
from schemas.tables import TABLES

WHAT: Mapping[str, str] = {
    "prompts": "split || ', ' || source",
    "candidates": "kind || ' of round ' || round",
    "requests": "state",
    "rollouts": "'rewarded by ' || estimator",
    "scores": "verifier || ' ' || verifier_version || ', ' || coalesce(role, 'filter')",
    "critiques": "'by ' || principle",
    "preferences": "'by ' || coalesce(principle, if(source IS NULL, 'a judge', 'people'))",
    "decisions": "if(kept, 'kept', 'dropped') || ' in round ' || round",
    EXAMPLES: "kind",
    "snapshots": "'for ' || purpose",
    "trainings": "objective",
    "steps": "'optimizer step'",
    "checkpoints": "role",
    "evaluations": "metric",
    "audits": "monitor",
    "rounds": "state",
    "retractions": "'taken back: ' || what",
    "tokens": "'of a candidate'",
    "soft_targets": "support || ' of a teacher'",
}
"""SQL over a row's columns for what rows are shown together by."""

LINES: Mapping[str, str] = {"prompts": "line"}
"""Where a row stands in the source that its words name."""


def facts(table: str) -> str:
    """SQL for the columns that are told of a row shown by itself: all but its lists of numbers."""
    if table == EXAMPLES:
        names = ("candidate_id", "rejected_id", "preference_id", "prompt_id", "kind", "checkpoint_id")
        return ", ".join(("snapshot_id", "example_id", *names))
    left_out = {column.name for column in SHARED if column.name in ("unit", "recorded_at")}
    told = (c for c in TABLES[table].columns if c.type == TEXTS or not str(c.type).startswith("list"))
    return ", ".join(f'"{column.name}"' for column in told if column.name not in left_out)
