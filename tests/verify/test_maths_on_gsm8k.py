"""The maths verifier keeps its promises on GSM8K's own files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tasks.verify.maths.maths import equations, verify

SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "rows"), [("train", 7473), ("test", 1319), ("test_socratic", 1319)])
def test_every_reference_solution_passes_and_all_its_equations_hold(
    shared_data: Path, name: str, rows: int
) -> None:
    answers = [row["answer"] for row in _lines(shared_data / "gsm8k" / f"{name}.jsonl")]
    assert len(answers) == rows
    for line, answer in enumerate(answers, start=1):
        verdict = verify(answer, answer)
        assert (verdict.outcome, verdict.value) == ("pass", 1.0), (line, verdict)
        assert verdict.steps == (1.0,) * answer.count("<<"), (line, verdict)
        assert verdict.equations == equations(answer)


def test_the_canonical_answer_is_the_number_the_reference_states(shared_data: Path) -> None:
    for row in _lines(shared_data / "gsm8k" / "train.jsonl"):
        stated = row["answer"].rpartition("####")[2].strip().replace(",", "")
        answer = verify(row["answer"], row["answer"]).answer
        assert answer is not None
        assert Fraction(answer) == Fraction(stated)


@pytest.mark.parametrize("change", [1, -1, 10, Fraction(1, 100)])
def test_every_reference_answer_with_its_number_changed_fails(
    shared_data: Path, change: int | Fraction
) -> None:
    for line, row in enumerate(_lines(shared_data / "gsm8k" / "train.jsonl"), start=1):
        working, _, stated = row["answer"].rpartition("#### ")
        number = Fraction(stated.replace(",", "")) + change
        changed = f"{working}#### {number if number.denominator == 1 else float(number)}"
        verdict = verify(changed, row["answer"])
        assert (verdict.outcome, verdict.value) == ("fail", 0.0), (line, verdict)
        assert verdict.steps == (1.0,) * len(verdict.steps), line


def test_a_changed_result_on_the_way_is_a_step_that_does_not_hold(shared_data: Path) -> None:
    for line, row in enumerate(_lines(shared_data / "gsm8k" / "train.jsonl"), start=1):
        before, match, after = row["answer"].partition(">>")
        if match:
            verdict = verify(f"{before}+1{match}{after}", row["answer"])
            assert (verdict.outcome, verdict.steps[0]) == ("pass", 0.0), (line, verdict)
            assert all(verdict.steps[1:]), (line, verdict)


def test_verdicts_agree_with_the_grades_except_where_the_table_explains_it(shared_data: Path) -> None:
    table = json.loads((Path(__file__).parent / "disagreements.json").read_text(encoding="utf-8"))
    explained = {(row["line"], row["system"]): row for row in table["disagreements"]}
    assert all(row["reason"] for row in explained.values())
    differing, judged = set(), 0
    for line, row in enumerate(_lines(shared_data / "gsm8k" / "example_model_solutions.jsonl"), start=1):
        for system in SYSTEMS:
            verdict = verify(row[system]["solution"], row["ground_truth"])
            judged += 1
            assert verdict.outcome in ("pass", "fail")
            if (verdict.outcome == "pass") != row[system]["is_correct"]:
                differing.add((line, system))
    assert judged == 5276
    assert differing == set(explained)
