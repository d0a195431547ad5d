"""Public cases of graders' faults: every line of `cases/verifiers.jsonl` beside the shared data has its right
outcome, alternatives apart by "|".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.grading.grading import verify_lines
from flows.grading.lines import Line
from tasks.verify.sandbox.run import safe_rung


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[dict[str, Any]]:
    path = shared_data.parent / "cases" / "verifiers.jsonl"
    if not path.is_file():
        pytest.skip(f"no cases at {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("verifier", ["maths", "unit-tests"])
def test_every_case_has_its_right_outcome(verifier: str, cases: list[dict[str, Any]]) -> None:
    if verifier == "unit-tests" and safe_rung().name is None:
        pytest.skip(f"no safe rung of the sandbox here: {safe_rung().refused}")
    chosen = [(place, case) for place, case in enumerate(cases) if case["verifier"] == verifier]
    rows = verify_lines(verifier, [Line(place, case["input"]) for place, case in chosen])
    wrong = {
        place: f"{case['kind']}: {row['outcome']}, not {case['right']}: {row['reason']}: {case['input']}"
        for (place, case), row in zip(chosen, rows, strict=True)
        if row["outcome"] not in case["right"].split("|")
    }
    assert not wrong, "\n".join(wrong.values())
