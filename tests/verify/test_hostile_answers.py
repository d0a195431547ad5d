"""Hostile answers: whatever a text holds, the maths verifier neither raises, nor runs long, nor runs it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.verify.maths.answers import read_answer
from tasks.verify.maths.maths import verify
from tasks.verify.verifier import Verdict
from tests.verify.test_math_answers import OTHER, SAME, boxed

SIGNS = (
    *(r"\frac", r"\frac{1}{2}", r"\sqrt", r"\pi", r"\text{cm}", r"\text", r"\pm ", r"\cup ", r"\infty "),
    *(r"\left(", r"\right)", r"\begin{pmatrix}", r"\end{pmatrix}", "\\\\", r"\{", r"\}", r"\cdot "),
    *(r"\%", r"\$", r"\log ", r"\sin ", r"\hat ", r"\prime", r"\overline{3}", r"\in ", r"\le ", r"\boxed{"),
    *("####", " apples", " or ", " and ", "1,234", "1e3", "0.5", "12", "cm", "ab", " of ", "not "),
    *("x_1", "1_2", r"\circ ", "½", "√", "²", " ", *"01xyeifk^_!'|,;:=<>+-*/()[]{}$%.&"),
)  # fmt: skip


@settings(max_examples=500)
@given(signs=st.lists(st.sampled_from(SIGNS), max_size=12))
def test_no_phrase_makes_the_reader_raise_or_equal_two_numbers(signs: list[str]) -> None:
    phrase = "".join(signs)
    read_answer(phrase)
    verify(boxed(phrase), phrase)
    verdicts = [verify(f"#### {phrase}", number) for number in ("0", "1", "12", "x", "(1,2)")]
    assert sum(verdict.outcome == "pass" for verdict in verdicts) < 2


BOMBS = [
    "9**9**9**9", "9^{9^{9^{9}}}", "10^{10^{10}}", "((9!)!)!", "99999999!", r"\binom{10^9}{10^8}",
    "e^{e^{e^{e^{9}}}}", r"\sin(10^{300})", r"\sqrt[10^9]{10^{300}}", "1" * 590, "x" * 590,
    "(" * 300 + ")" * 290, "{" * 290 + "}" * 290, r"\sqrt" * 118, r"\frac" * 118, "-" * 590, "x^" * 290,
    "1/" * 290 + "2", "x!" + "!" * 500, r"\sin" * 147, "|" * 590, "2^{-10^{9}}", "0^{-1}", "1/0",
    r"\log_1 5", r"\frac{0}{0}", r"\tan(\pi/2)", "x^{x^{x^{x^{x}}}}", "(x+1)^{10^6}", "0.1^{10^5}",
    "+".join(["x^{99}"] * 80), r"\sqrt{x+" * 40 + "1" + "}" * 40, r"\pm" * 190 + "1", ",".join("1" * 290),
    r"\{" * 200, r"\text{__import__('os')}", "lambda: 0",
    r"\begin{pmatrix}" + "1&" * 280 + "1",
]  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_only_an_answer_that_is_not_the_reference(bomb: str) -> None:
    for reference in ("7", "x+7", r"\sqrt{7}", "y=x+7", "(7,8)", "[7,8)"):
        assert verify(boxed(bomb), reference).outcome == "fail"
        assert verify(f"#### {bomb}", reference).outcome == "fail"
    assert verify(boxed(bomb), bomb).outcome in ("pass", "fail", "unscorable")


@pytest.mark.parametrize("written", ["{}", r"\text{{{}}}", "f({})", r"\frac{{{}}}{{1}}", "x = {}", "[{}, 1)"])
def test_code_in_an_answer_is_never_run(written: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for code in (f"__import__('os').system('touch {touched}')", f"open('{touched}','w')"):
        for text in (boxed(written.format(code)), f"#### {written.format(code)}", f"<<{code}=1>>\n#### 1"):
            verify(text, "1")
            verify("#### 1", text)
            verify(text, code)
    assert not touched.exists()


PIECES = [
    r"\boxed{",
    "{",
    "}",
    r"\frac{",
    r"\boxed{1}",
    "boxed",
    r"\boxed{x} ",
    "$",
    "**",
    r"\left(",
    "x^",
    "1,",
    "\\",
    r"\text{",
    "answer is $x$ ",
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", PIECES)
def test_megabytes_of_latex_are_judged_in_linear_time(piece: str) -> None:
    """Were it quadratic, two megabytes would take hours."""
    text = piece * (2_000_000 // len(piece))
    for hostile in (text, rf"\boxed{{{text}}}", f"the answer is {text}"):
        assert verify(hostile, "x+7").outcome == "fail"


def test_two_hundred_thousand_braces_in_a_box_are_only_long() -> None:
    nested = "{" * 200_000 + "x" + "}" * 200_000
    assert verify(rf"\boxed{nested}", "x").outcome == "fail"
    assert verify(rf"\boxed{nested} so \boxed{{x}}", "x").outcome == "fail"
    assert verify("{" * 200_000 + r"\boxed{x}" + "}" * 200_000, "x").outcome == "pass"


def test_verdicts_are_the_same_in_threads_and_after_a_fork() -> None:
    pairs = SAME[:60] + OTHER[:60]

    def judged() -> list[Verdict]:
        return [verify(boxed(answer), reference) for reference, answer in pairs]

    expected = judged()
    seen: list[list[Verdict]] = []
    threads = [threading.Thread(target=lambda: seen.append(judged())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 4
    child = os.fork()
    if child == 0:
        os._exit(int(judged() != expected))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
