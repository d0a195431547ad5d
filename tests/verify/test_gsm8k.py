"""Promises of GSM8K's own rule: it agrees with the data set's grades and shares no code with the other."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.verify.verifier import get_verifier

verify = get_verifier("gsm8k").verify


@pytest.mark.parametrize(
    ("text", "reference", "outcome"),
    [
        ("so 3+4=7\n#### 7", "#### 7", "pass"),
        ("#### 1,000", "1000", "pass"),
        ("#### 7.", "7", "pass"),
        ("#### 7.0", "7", "fail"),
        ("The answer is 7", "7", "fail"),
        ("#### 8\n#### 7", "7", "fail"),
        ("", "7", "fail"),
        (None, "7", "unscorable"),
        ("#### 7", "", "unscorable"),
        ("#### 7", None, "unscorable"),
        ("#### 7", "seven", "unscorable"),
    ],
)
def test_the_first_marked_number_counts_to_the_character(
    text: str | None, reference: str | None, outcome: str
) -> None:
    assert verify(text, reference).outcome == outcome


def test_it_agrees_with_the_grades_of_gsm8k_s_own_answers(shared_data: Path) -> None:
    with (shared_data / "gsm8k" / "train.jsonl").open(encoding="utf-8") as lines:
        answers = [json.loads(line)["answer"] for line in lines]
    assert all(verify(answer, answer).outcome == "pass" for answer in answers)
    assert sum(verify(a, b).outcome == "pass" for a, b in pairwise(answers)) < 400
