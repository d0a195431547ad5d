"""Promises of every verifier: a verdict on any text, the same each time, alone and among others."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.verify.verifier import _ROOMS as VERIFIERS
from tasks.verify.verifier import SCORED, Outcome, Verdict, Verifier, get_verifier, verify_rows


@dataclass(frozen=True)
class Case:
    """A reference with texts that pass and fail by it. `slow` verifiers are shown fewer texts.

    One that `finds_faults` needs no reference, and passes any text in which it finds nothing.
    """

    reference: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    slow: bool = False
    finds_faults: bool = False


CASES = {
    "gsm8k": Case("3 + 4 = 7\n#### 7", ("so 7\n#### 7",), ("#### 8", "The answer is 7")),
    "manner": Case(
        "7",
        ("#### 7", "You are kind.\n#### 8"),
        ("You are slow.\n#### 7", "I am the best."),
        finds_faults=True,
    ),
    "maths": Case("7", ("#### 7", r"so \boxed{7}"), ("#### 8", "I cannot say.")),
    "unit-tests": Case(
        json.dumps({"tests": ["assert f(1) == 2", "assert f(2) == 3"]}),
        ("def f(n):\n    return n + 1\n",),
        ("def f(n):\n    return n\n", "I cannot."),
        slow=True,
    ),
}
HOSTILE = (
    "",
    "\x00",
    "\ud800 half a pair",
    "\udfff\ud800",
    "[" * 200_000,
    "(" * 100_000 + ")" * 100_000,
    "{" * 100_000,
    "#### " * 40_000,
    "9" * 100_000,
    "x" * 300_000,
    "\u202e\u2028\x1b[31m",
)
SIGNS = st.characters(codec=None) | st.sampled_from(
    ["#### ", "\\boxed{", "}", "7", "def f(n): ", "\n", "\x00"]
)
TEXTS = st.lists(SIGNS, max_size=40).map("".join)


@pytest.fixture(scope="module", params=VERIFIERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def verifier(name: str) -> Verifier:
    return get_verifier(name)


@pytest.fixture(scope="module")
def case(name: str, verifier: Verifier) -> Case:
    if name not in CASES:
        pytest.fail(
            f"verifier {name} has no case: add a reference, right and wrong texts to CASES of {__name__}"
        )
    case = CASES[name]
    (verdict,) = verify_rows(verifier, case.right[:1], [case.reference])
    if "no safe rung" in verdict.reason:
        pytest.skip(verdict.reason)
    return case


def held(verdict: Verdict) -> Verdict:
    """The verdict, of a stated outcome and fit for a row of table `scores`."""
    assert verdict.outcome in get_args(Outcome)
    assert (verdict.value is not None) == (verdict.outcome in SCORED)
    assert verdict.value is None or 0 <= verdict.value <= 1
    assert len(verdict.steps) == len(verdict.equations)
    assert verdict.reason
    assert "\n" not in verdict.reason
    for text in (verdict.reason, verdict.answer or "", *verdict.equations):
        text.encode()
    return verdict


def test_a_verifier_has_its_name_a_version_and_a_kind(name: str, verifier: Verifier) -> None:
    assert verifier.name == name
    assert re.fullmatch(r"\w+", verifier.version)
    assert verifier.kind in {"rule", "program", "judge", "reward"}
    assert get_verifier(name, verifier.version) is verifier


def test_a_right_answer_passes_and_a_wrong_one_fails(verifier: Verifier, case: Case) -> None:
    for texts, outcome, value in ((case.right, "pass", 1.0), (case.wrong, "fail", 0.0)):
        for text in texts:
            verdict = held(verifier.verify(text, case.reference))
            assert (verdict.outcome, verdict.value) == (outcome, value), text


def test_a_batch_is_judged_as_each_of_it_alone_and_again(verifier: Verifier, case: Case) -> None:
    texts = [*case.right, *case.wrong, *HOSTILE[:3], None] * 2
    references = [case.reference] * (len(texts) - 2) + [None, "\x00"]
    together = verify_rows(verifier, texts, references)
    assert together == [verifier.verify(*row) for row in zip(texts, references, strict=True)]
    assert together == verify_rows(verifier, texts, references)
    if verifier.verify_many is not None:
        assert list(verifier.verify_many([], [])) == []
    assert verify_rows(verifier, [], []) == []


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{text[:6]!a}..." for text in HOSTILE])
def test_a_hostile_text_is_no_right_answer_and_as_a_reference_no_score(
    verifier: Verifier, case: Case, text: str
) -> None:
    assert held(verifier.verify(text, case.reference)).outcome == ("pass" if case.finds_faults else "fail")
    assert held(verifier.verify(case.wrong[0], text)).outcome in {"fail", "unscorable"}


def test_no_text_makes_a_verifier_raise(verifier: Verifier, case: Case) -> None:
    @settings(max_examples=8 if case.slow else 40)
    @given(st.lists(TEXTS, min_size=1, max_size=6))
    def judged(texts: list[str]) -> None:
        for text, verdict in zip(
            texts, verify_rows(verifier, texts, [case.reference] * len(texts)), strict=True
        ):
            assert held(verdict).outcome in SCORED | {"timeout", "tampered"}, text

    judged()


def test_no_reference_makes_a_verifier_raise(verifier: Verifier, case: Case) -> None:
    @settings(max_examples=8 if case.slow else 80)
    @given(TEXTS)
    def judged(reference: str) -> None:
        held(verifier.verify(case.right[0], reference))

    judged()


@pytest.mark.parametrize("reference", [None, "", "   ", "\n"])
def test_without_a_reference_nothing_is_scored_that_needs_one(
    verifier: Verifier, case: Case, reference: str | None
) -> None:
    for text, outcome in (*((one, "pass") for one in case.right), *((one, "fail") for one in case.wrong)):
        expected = outcome if case.finds_faults else "unscorable"
        assert held(verifier.verify(text, reference)).outcome == expected


def test_without_a_text_nothing_passes(verifier: Verifier, case: Case) -> None:
    assert held(verifier.verify(None, case.reference)).outcome == "unscorable"
