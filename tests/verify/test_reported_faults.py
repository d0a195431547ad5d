# ruff: noqa: E501 - programs and answers stand as they are written
"""The maths verifier on the kinds of faults that people who grade answers report, and near misses beside them.

Each row is a text, a reference, and whether it passes; `B` puts an answer into a box.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.recipes.strictness import Strictness
from tasks.verify.maths.maths import explain, verify
from tasks.verify.verifier import get_verifier
from tests.verify.math_pairs import DIFFERENT, EQUAL


def B(answer: str) -> str:
    return rf"Therefore the answer is $\boxed{{{answer}}}$."


# fmt: off
ROWS: list[tuple[str, str, bool]] = [
    ('The answer is no more than 5.', '5', False),
    ('The answer is half of 12.', '12', False),
    ('The answer is twice 6.', '6', False),
    ('The answer is between 4 and 6.', '4', False),
    ('The answer is 5 or more.', '5', False),
    ('The answer is 5 times as many.', '5', False),
    ('The answer is up to 5.', '5', False),
    ('The answer is 12 percent of 50.', '12', False),
    ('The answer is the cube of 3.', '3', False),
    ('The answer is not divisible by 9.', '9', False),
    ('The answer is a multiple of 9.', '9', False),
    ('The answer is 3 more than 5', '3', False),
    ('The answer is 5 apples.', '5', True),
    ('The answer is 5 apples left.', '5', True),
    ('The answer is that Tom has 5 apples.', '5', True),
    ('The answer is $5 per hour.', '5', True),
    ('The answer is 18 dollars in total.', '18', True),
    ('#### 7 apples\nThe answer is above.', '7', True),
    ('The answer is 5 over 2.', '5', False),
    ('The answer is all but 3.', '3', False),
    ('The answer is nearly 5.', '5', False),
    ('The answer is negative 5.', '-5', True),
    ('The answer is minus 5.', '5', False),
    (B('\\text{at most }7'), '7', False),
    (B('5\\text{ or more}'), '5', False),
    (B('\\frac{1}{2}\\text{ of }6'), '\\frac12', False),
    (B('\\text{half of }10'), '10', False),
    (B('10\\text{ squared}'), '10', False),
    (B('\\text{Exactly }7'), '7', True),
    (B('5\\text{ million}'), '5000000', True),
    (B('5\\text{ million}'), '5', False),
    (B('5\\text{ kHz}'), '5\\text{ Hz}', False),
    (B('5000\\text{ Hz}'), '5\\text{ kHz}', True),
    (B('\\text{May 5}'), '\\text{June 5}', False),
    (B('\\text{a profit of }5'), '\\text{a loss of }5', False),
    (B('\\text{profit of }\\$5'), '\\text{loss of }\\$5', False),
    (B('18\\text{ boys},12\\text{ girls}'), '12\\text{ boys},18\\text{ girls}', False),
    (B('12\\text{ boys and }18\\text{ girls}'), '12\\text{ boys},18\\text{ girls}', True),
    (B('x+3=8'), 'x=5', False),
    (B('3x-2=2x+3'), 'x=5', False),
    (B('x=5'), 'x=5', True),
    (B('x=2+3'), 'x=5', False),
    ('$-\\boxed{\\frac12}$', '-\\frac12', True),
    ('$-\\boxed{\\frac12}$', '\\frac12', False),
    ('\\boxed{3}\\sqrt2', '3\\sqrt2', True),
    ('$$x=\\boxed{5}$$', '5', True),
    ('So $x = \\boxed{5}\\text{ cm}$.', '5', True),
    ('1. \\boxed{5}', '5', True),
    ('- \\boxed{5}', '5', True),
    ('**\\boxed{5}**', '5', True),
    ('\\[\n\\boxed{5}.\n\\]', '5', True),
    ('$\\boxed{5}$!', '5', True),
    ('Area $=\\pi\\boxed{5}$', '5', False),
    ('$\\frac{\\boxed{5}}{2}$', '5', False),
    ('$|\\boxed{-5}|$', '-5', False),
    ('$\\boxed{5}^2$', '5', False),
    ('$\\boxed{5}\\cdot 2$', '5', False),
    ('$\\boxed{2} \\times 3$', '2', False),
    ('$1+\\boxed{5}$', '5', False),
    ('$\\boxed{5}+1$', '5', False),
    ('$(\\boxed{B})$', 'B', True),
    ('answer: $\\boxed{5}, \\text{ as needed}$', '5', True),
    ('\\boxed{5}. Hmm, or \\boxed{6}.', '6', False),
    ('\\boxed{5}. Or maybe \\boxed{6}.', '6', False),
    ('Either \\boxed{5} or \\boxed{6}', '5', False),
    ('\\boxed{5}\n\nSo the answer is \\boxed{6}', '6', True),
    ('\\boxed{6}\n\\boxed{', '6', False),
    ('<think>\\boxed{5}', '5', False),
    ('<think>\\boxed{5}</think>', '5', False),
    ('<thinking>x</thinking>#### 5', '5', True),
    ('<think>a</think><think>b</think>The answer is 4', '4', True),
    ('<answer>5', '5', False),
    ('<answer>5</answer><answer>6</answer>', '6', True),
    ('<answer>\n\\[5\\]\n</answer>', '5', True),
    (B('\\binom{n+1}{k}'), '\\binom{n}{k}', False),
    (B('\\binom{n}{k}+\\binom{n}{k-1}'), '\\binom{n+1}{k}', True),
    (B('n!/(k!(n-k)!)'), '\\binom nk', True),
    (B('x-1000'), '|x-1000|', False),
    (B('\\lfloor x/50\\rfloor'), '0', False),
    (B('\\sqrt{x^2-10000}'), '\\sqrt{(x-100)(x+100)}', True),
    (B('(-1)^{n^2}'), '(-1)^n', True),
    (B('(-1)^{ab}'), '(-1)^{a+b}', False),
    (B('33.3'), '\\frac{100}{3}', False),
    ('The answer is 33.3', '100/3', False),
    ('The answer is 100/3', '33.3', True),
    ('The answer is 100/3', '33.33', True),
    ('The answer is 33.4', '33.3', False),
    ('The answer is 33', '33.3', False),
    ('The answer is 2/3', '0.67', True),
    ('The answer is 0.66', '0.67', False),
    ('The answer is 1/2', '0.49', False),
    ('The answer is 0.5', '0.49', False),
    ('The answer is 10', '10.', True),
    ('Antwort: 42', '42', True),
    ('答案\uff1a42', '42', True),
    ('答案是42。', '42', True),
    ('Respuesta: 42', '42', True),
    ('Ответ: 42', '42', True),
    ('La respuesta es 42.', '42', True),
    ('```json\n{"answer": "42"}\n```', '42', True),
    ('{"answer": 41}', '42', False),
    ('{"final_answer": "\\\\frac{1}{2}"}', '1/2', True),
    ('The answer is (C) 12', 'C', True),
    ('Answer: C. 12 apples', 'C', True),
    ('The answer is **(B)**.', 'B', True),
    ('The best option is (D).', 'D', True),
    ('Answer: B or C', 'B', False),
    (B('f^{-1}(x)=\\frac{x-1}{2}'), '\\frac{x-1}{2}', True),
    (B('\\gcd(12,18)=7'), '6', False),
    (B('\\sqrt{16}=5'), '5', False),
    (B('\\binom{8}{4}=71'), '71', False),
    (B('\\log_2 8=3'), '3', True),
    (B('a_{10}=55'), '55', True),
    (B('S_n=n^2'), 'n^2', True),
    (B('\\frac{dy}{dx}=2x'), '2x', True),
    (B('\\angle ABC=30^\\circ'), '30^\\circ', True),
    (B('x^2=4'), '4', False),
    (B('x^2=4'), 'x=2', False),
    (B('2x=10'), '10', False),
    (B('x=1\\text{ or }x=3'), '1,2', False),
    (B('1\\text{ or }2'), '1', False),
    (B('1\\text{ or }2\\text{ or }3'), '\\{1,2,3\\}', True),
    (B('x<1\\text{ and }x>3'), 'x<1\\text{ or }x>3', False),
    (B('|x-1|<2'), '(-1,3)', True),
    (B('|x|>3'), '(-\\infty,-3)\\cup(3,\\infty)', True),
    (B('|x|\\le3'), '(-3,3)', False),
    (B('0.1666\\ldots'), '1/6', True),
    (B('0.1212\\ldots'), '\\frac{4}{33}', True),
    (B('0.33\\ldots'), '1/3', False),
    (B('3 to 4'), '3:2', False),
    (B('5 feet 7 inches'), '66 inches', False),
    (B('1\\text{ hour }30\\text{ minutes}'), '90\\text{ minutes}', True),
    (B('1\\text{ hour and }30\\text{ minutes}'), '1.5\\text{ hours}', True),
    (B('50\\text{ cents}'), '\\$0.50', True),
    (B('50\\text{ cents}'), '\\$50', False),
    (B('€5'), '$5', False),
    (B('£5'), '£5', True),
    (B('3\\text{ lakh}'), '3', False),
    (B('2\\text{ km}^2'), '2000000\\text{ m}^2', True),
    (B('\\{x : x \\ge 3\\}'), '[3,\\infty)', True),
    (B('\\{x\\in\\mathbb{R}\\mid x<3\\}'), '(-\\infty,3]', False),
    (B('\\text{There is no solution}'), '\\emptyset', True),
    (B('\\text{no solution}'), '\\text{one solution}', False),
    (B('\\begin{cases}x=1\\\\y=3\\end{cases}'), 'x=1,y=2', False),
    (B('A, B and C'), 'A,B,C', True),
    (B('cis(60^\\circ)'), '\\frac12+\\frac{\\sqrt3}{2}i', True),
    (B('\\dfrac{1}{2}\\text{ for all }x'), '1/2', True),
    (B('x\\equiv 3\\pmod 5'), 'x\\equiv 3\\pmod 7', False),
    ('The answer is 5 degrees below zero', '5', False),
    ('The answer is 5 less', '5', False),
    ('The answer is 3 fifths', '3', False),
    ('#### 5!', '5', False),
    ('The answer is 5!', '5', True),
    ('The answer is\n42', '42', True),
    ('Answer:\n\n42', '42', True),
    ('**Answer**: $42$', '42', True),
    ('Final answer:\n```python\n42\n```', '42', True),
    ('The final answer is\n$$\\boxed{42}$$', '42', True),
    (B("10\\%"), "0.1", False), (B("5\\text{ acres}"), "5\\text{ hectares}", False),
    (B("2\\text{ hours}"), "2\\text{ days}", False), (B("48\\text{ hours}"), "2\\text{ days}", True),
    (B("0"), "\\text{no solution}", False), (B("\\text{none of the above}"), "\\emptyset", False),
]
# fmt: on


@pytest.mark.parametrize(("text", "reference", "passes"), ROWS)
def test_a_text_passes_for_its_answer_alone(text: str, reference: str, passes: bool) -> None:
    verdict = verify(text, reference)
    assert verdict.outcome == ("pass" if passes else "fail"), verdict


LOOSE = [
    ({"percent": "either"}, B("10"), r"10\%", True), ({"percent": "either"}, B(r"10\%"), "0.1", True),
    ({"percent": "either"}, B("11"), r"10\%", False), ({}, B("10"), r"10\%", False),
    ({"tolerance": 0.01}, B("3.14"), r"\pi", True), ({"tolerance": 0.01}, B("3"), r"\pi", False),
    ({"tolerance": 0.01}, B("(1.001,2)"), "(1,2)", True), ({"tolerance": 0.01}, B("(2,1)"), "(1,2)", False),
    ({"units": "ignored"}, B(r"5\text{ kg}"), r"5\text{ m}", True), ({"units": "ignored"}, B("6"), r"5\text{ m}", False),
    ({"units": "required"}, B("5"), r"5\text{ m}", False), ({"units": "required"}, B(r"5\text{ m}"), r"5\text{ m}", True),
    ({"units": "required"}, B("5"), "5", True),
]  # fmt: skip


@pytest.mark.parametrize(("values", "text", "reference", "passes"), LOOSE)
def test_strictness_is_the_users_and_stands_in_the_version(
    values: dict[str, object], text: str, reference: str, passes: bool
) -> None:
    strictness = Strictness.model_validate(values)
    verifier = get_verifier("maths", strictness=strictness)
    assert (verifier.verify(text, reference).outcome == "pass") == passes
    assert (verifier.version == "5") == (not values)


def test_an_explanation_says_what_was_read_as_the_answer() -> None:
    explanation = explain(B(r"5\text{ cm}"), "5")
    assert (explanation["marked"], explanation["by"], explanation["read_as"]) == (
        r"5\text{ cm}",
        "box",
        "measure",
    )
    assert explain("I refuse.", "5")["marked"] is None
    assert explain("The answer is 5.", "5")["by"] == "phrase"


PAIRS = [
    (B(answer), reference) for pairs in (*EQUAL.values(), *DIFFERENT.values()) for reference, answer in pairs
]
LINES = PAIRS + [row[:2] for row in ROWS]
PIECES = [
    "\\boxed{", "}", "{", "$", "####", "\n#### 7", "<think>", "</think>", "<answer>", "answer is ", " or ", "\\text{",
    "\\frac", "^", "_", "(", ")", "[", "]", ",", ".", "-", "=", "<", "%", "\\%", " million", "not ", "\u4e07", "5", "x", "!",
    "|", "\\sqrt", "\\begin{cases}", "\\\\", "\x00", "\ud800", "\\over", "...", "\\ldots", "**", "{\"answer\": ", "\\pm",
]  # fmt: skip


def mutated(draw: random.Random) -> tuple[str, str]:
    """A line of the tables with pieces put in, taken out or doubled, in the text or the reference."""
    both = list(draw.choice(LINES))
    for _ in range(draw.randrange(1, 4)):
        side = draw.randrange(2)
        text = both[side]
        at, to = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
        change = draw.randrange(3)
        both[side] = (
            text[:at] + draw.choice(PIECES) + text[at:]
            if change == 0
            else text[:at] + text[min(to, at + 9) :]
            if change == 1
            else text[:to] + text[at:]
        )
    return both[0], both[1]


@settings(max_examples=1500)
@given(seed=st.integers(0, 2**32))
def test_every_mutated_line_has_a_verdict(seed: int) -> None:
    text, reference = mutated(random.Random(seed))
    verdict = verify(text, reference)
    assert verdict.outcome in ("pass", "fail", "unscorable")
    verdict.reason.encode()
    assert "\n" not in verdict.reason
    explain(text, reference)
