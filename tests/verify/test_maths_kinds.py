# ruff: noqa: E501, RUF001 - answers stand as they are written
"""The maths verifier on further variations of the kinds of faults in `test_reported_faults.py`: each row is a
text, a reference, and whether it passes; `B` puts an answer into a box.
"""

from __future__ import annotations

import pytest

from tasks.verify.maths.maths import verify
from tests.verify.test_reported_faults import B

BOUNDS_AND_OPERATIONS = [
    "12 at minimum", "12 per cent", "12 too many", "12-fold the original", "a maximum of 12", "a minimum of 12",
    "the negative of 12", "the 12th prime", "the 12th Fibonacci number", "wrong if it is 12", "12+", "12 doubled",
    "12 halved", "12 point five", "12 raised by one", "at least 12", "no fewer than 12", "12 factorial", "5 over 12",
    "a multiple of 12", "12 or more", "100 divided by 12", "twice 12", "not 12", "between 12 and 20", "12 score",
    "12 gross", "12 mega", "12 tens", "12 hundreds", "12 grand", "12 billionths", "12 M", "12 in base 7",
    "12-ish", "12?", "12 followed by a zero", "12-million", "12 ten thousand", "12 per mille", "12 in thousands", "12 (hundreds)",
    "12 mln", "12 Millionen", "12 миллионов", "12만", "12 sextillion", "12 percentage points",
]  # fmt: skip

BESIDE_BOXES = [
    r"at least \boxed{5}", r"more than $\boxed{5}$", r"half of \boxed{5}", r"twice \boxed{5}", r"minus \boxed{5}",
    r"negative \boxed{5}", r"It is not \boxed{5}.", r"The answer isn't \boxed{5}.", r"It cannot be \boxed{5}",
    r"three times \boxed{5}", r"divisible by \boxed{5}", r"different from \boxed{5}", r"any integer but \boxed{5}",
    r"\boxed{5} squared", r"\boxed{5} dozen", r"\boxed{5} dozens", r"\boxed{5} gross", r"$\boxed{5}$ million dollars", r"$\boxed{5}\text{ million}$",
    r"\boxed{5} is not the answer.", r"\boxed{5} is wrong.", r"\boxed{5} or more", r"\boxed{5} doubled",
    r"The answer is the sum of 1 and \boxed{5}.", r"The answer is 1 over \boxed{5}.", r"The answer is off by \boxed{5}.",
    r"The answer is log base 2 of \boxed{5}.", r"It exceeds \boxed{5}.", r"The answer is bounded above by \boxed{5}.",
    r"The answer is a number close to \boxed{5}.", r"2 to the \boxed{5}", r"any number up to \boxed{5}", r"$-\,\boxed{5}$", r"\boxed{5}\,\text{billion}",
    r"\boxed{5}\text{M}", r"\boxed{5} tenths", r"\boxed{5} divided by 3", r"\boxed{5} less 1", r"\boxed{5} choose 2", r"~~\boxed{5}~~",
    r"$\boxed{5}!$", r"\boxed{5}<x", r"$\boxed{5} \le n$", r"$\boxed{5}\%$ of 50", r"5 to the power of \boxed{5}",
]  # fmt: skip

FAILS = [
    (B(r"x=5\text{ cm}"), r"5\text{ m}"), (B(r"5\text{ cm}"), r"x=5\text{ m}"), (B(r"x=\$5"), "€5"), (B(r"x=50\%"), "50"),
    (B(r"0.5=70\%"), r"70\%"), (B(r"0.5=70\%"), "0.5"), (B(r"50\%=0.5"), "50"), (B(r"(f\circ g)(2)=5"), "6"), (B("(x+1)(2)=5"), "5"),
    (B(r"2x=10\text{ cm}"), r"5\text{ cm}"),
    (B(r"7,5"), r"5\text{ apples},7\text{ oranges}"), (B(r"x=1\text{ or }y=2"), "x=1,y=2"), (B("(3,100)"), "3100"),
    (B(r"5\text{ score}"), "5"), (B(r"5\text{M}"), "5"), (B("5百"), "5"), (B(r"\text{€}5"), r"\$5"), (B("5 mio"), "5"),
    (B(r"5\text{ quadrillion}"), "5"), (B("3!=6"), "3"), (B("5!=119"), "119"), (B(r"3!\ne 6"), "6"), (B("3!+2"), "8"),
    (B(r"\text{12x}"), "12"), (B("0^n"), "0^{n+1}"), (B(r"\phi(10)=5"), "4"), (B("f(-1)=5"), "-1"),
    (B(r"\sum_{k=1}^{10} k=54"), "55"), (B(r"\mathbb{R}\setminus\{1\}"), r"\mathbb{R}\setminus\{2\}"),
    (B(r"\text{all real numbers except }0"), r"\mathbb{R}"), (B("12 cups"), r"12\text{ pints}"), (B("3.1"), r"\pi"),
    ("The answer is 16. If the answer is 5, something is wrong.", "5"), ("#### 16\n\n#### 5. Notes", "5"),
    ("The answer is 3 (x+1)", "3"), ("The answer is 8 (2 * 3).", "8"), ("We get 3. \\boxed{8}", "0.8"),
    ("[THINK]\\boxed{9}[/THINK]\\boxed{4}", "9"), ('{"answer": "at most 12"}', "12"), (r"-\boxed{5}", "5"),
    (B("5^*"), "5"), (B("12^+"), "12"), (B("5'"), "5"), (B("5-"), "5"), (B(r"5\text{ is wrong}"), "5"), (B(r"\text{False: }5"), "5"), (B("-x=3"), "3"),
    (B(r"2A=\begin{pmatrix}1\\2\end{pmatrix}"), r"\begin{pmatrix}1\\2\end{pmatrix}"), (B(r"30^\circ"), "30'"), (B(r"5\text{ MB}"), r"5\text{ Mb}"),
    (B(r"\text{Alice: }3,\text{Bob: }4"), r"\text{Bob: }3,\text{Alice: }4"), (B(r"P(X=2)>\frac12"), r"\frac12"), ("答案是220以上", "220"),
    ("7 is not the answer.", "7"), ("If 7 is the answer.", "7"), ("6 or 7 is the answer.", "7"), ("Everything but option B is correct.", "B"),
    ("(A) (B) (C)", "A"), ("A or B", "B"), ("x = 6 + 1", "7"), ("The answer is not 7 but more than 12.", "12"), ("The answer is 7, not 12.", "12"),
    ("<|channel|>analysis<|message|>The answer is 7", "7"), ('```json\n{"answer": 8}\n```\n```json\n{"answer": 7}\n```', "8"),
    (r"\boxed{5} hundred", "5"), ("Answer:\n- 9", "-9"), (B(r"\text{At most: }5"), "5"),
]  # fmt: skip

PASSES = [
    (B(r"x=5\text{ cm}"), r"5\text{ cm}"), (B(r"x=500\text{ cm}"), r"5\text{ m}"), (B(r"x=50\%"), r"50\%"), (B("50\\%"), r"0.5=50\%"),
    (B(r"0.5=50\%"), r"50\%"), (B(r"0.5=50\%"), "0.5"), (B(r"(f\circ g)(2)=5"), "5"), (B("(f∘g)(2)=5"), "5"), (B("(f+g)(2)=5"), "5"),
    (B("f^{(3)}(0)=6"), "6"), ("The answer is P(A) = 50%.", "50%"),
    ("The answer is 72 (12 x 6).", "72"), ("The answer is 72 = 8*9.", "72"), ("The answer is 72, i.e., seventy-two.", "72"),
    ("## Final Answer\n\n9", "9"), ("### Answer\n\n$$\n9\n$$", "9"), ("#### Final Answer\n9", "9"), ("Answer\n9", "9"),
    ("Answer:\n- 9", "9"), ("Answer:\n> 9", "9"), ("[Answer: 220]", "220"), ("Ans: 220", "220"), ("ANS = 220", "220"),
    ("The answer should be 220.", "220"), ("Answer: US$220", "220"), ("La respuesta correcta es 220.", "220"),
    ("Het antwoord is 220.", "220"), ("答案为：220", "220"), ('{"answer": "\\\\boxed{220}"}', "220"),
    ("#### \\boxed{12}", "12"), ("#### 12 because 5 + 7 = 12", "12"), ("#### exactly 12", "12"), ("#### the number 12", "12"),
    ("#### a total of 12", "12"), ("The answer is actually 12", "12"), ("#### 12 (as computed above)", "12"),
    ("**16**\n\nThe answer is in dollars.", "16"), ("The answer is 16. Since the answer is positive, we are done.", "16"),
    ("The answer is 16. This answer is 4 more than 12.", "16"), ("#### 16\n\n#### 5. Notes", "16"),
    ("Answer: 16\n\nNote: the answer is rounded to the nearest 10.", "16"), ("The answer is option B.", "B"),
    ("Answer: Option B: Paris", "B"), (B(r"\text{Option B}"), "B"), ("Let me see. That is not right. \\boxed{8}.", "8"),
    ("Put your final answer within \\boxed{}. \\boxed{11}", "11"), ("◁think▷\\boxed{9}◁/think▷\\boxed{4}", "4"),
    ("<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>\\boxed{4}<|end_of_solution|>", "4"),
    ("Total => \\boxed{5}", "5"), ("| \\boxed{5} |", "5"), ("\\\\boxed{5}", "5"), (r"\boxed{5} dozen", "60"), (r"\boxed{5} dozens", "60"), (r"\boxed{2} gross", "288"),
    ("$$\\begin{aligned} x &= 5+7 \\\\ &= \\boxed{12} \\end{aligned}$$", "12"), ("\\boxed{12} (since 5+7=12)", "12"),
    ("It is not 13 but \\boxed{12}", "12"), ("negative \\boxed{5}", "-5"), (r"x=\boxed{12}\checkmark", "12"),
    (B("3!=6"), "6"), (B("0!=1"), "1"), (B("x!=3"), r"x\ne 3"), (B("x=7+5=12"), "12"), (B(r"\phi(10)=4"), "4"),
    (B("f(-1)=5"), "5"), (B("f'(3)=7"), "7"), (B("f^{-1}(3)=5"), "5"), (B(r"\sum_{k=1}^{10} k=55"), "55"),
    (B(r"\frac{d}{dx}x^2=2x"), "2x"), (B(r"\text{Number of apples: }10"), "10"), (B("June 20"), r"\text{June 20}"),
    (B(r"\text{an ellipse}"), r"\text{ellipse}"), (B(r"5\text{ millions}"), "5000000"), (B(r"4\text{ quarts}"), r"1\text{ gallon}"),
    (B(r"\mathbb{R}\setminus\{0\}"), r"(-\infty,0)\cup(0,\infty)"), (B(r"\text{all real numbers}"), r"(-\infty,\infty)"),
    (B(r"[1,2)\cup(2,3]"), r"[1,3]\setminus\{2\}"), (B(r"0.\bar{3}"), "1/3"), (B(r"3\text{ to }2"), "3:2"),
    (B(r"3 \text{ out of } 8"), "3/8"), (B(r"A\text{ and }C"), "A,C"), (B(r"x\equiv3\pmod7"), r"x\equiv 3 \pmod{7}"),
    (B(r"x \equiv 3 \mod 7"), r"x\equiv3\pmod7"), (B(r"\begin{aligned}x&=1\\y&=2\end{aligned}"), "x=1,y=2"),
    ("7 is the answer.", "7"), ("Therefore 7 is the correct answer.", "7"), ("Option B is correct.", "B"), ("I choose option B.", "B"), ("[[B]]", "B"),
    ("(B)", "B"), ("B) 12", "B"), ("x = 7", "7"), ("Answer: **B**: 12", "B"), (r"\boxed{\textbf{(B)}~12}", "B"), ("The answer is B, not C.", "B"),
    ("The answer is not 7 but 12.", "12"), ("The answer is 7 (not 12).", "7"), ("The answers are 1 and 2.", "1,2"), ("The answer is ~~7~~ 8.", "8"),
    ("Answer: 7\n\nExplanation: 3+4=7. The answer is found by adding.", "7"), ("Answer:\n\\begin{equation}\n9\n\\end{equation}", "9"),
    ("Answer:\n~~~\n9\n~~~", "9"), (r"\[ \textbf{Answer: } \frac{3}{4} \]", "3/4"), (r"$\large\boxed{9}$", "9"), (r"\boxed{\Huge 9}", "9"), ("Answer → 9", "9"),
    ('{"Answer": 9}', "9"), ('Here:\n```json\n{"answer": "9"}\n```', "9"), ('{"result": {"answer": 9}}', "9"), ('{"answer": true}', r"\text{True}"),
    ("Die Antwort lautet 220.", "220"), ("답: 220", "220"), ("उत्तर: 220", "220"), ("Đáp án: 220", "220"), ("الجواب: 220", "220"), ("故选B。", "B"),
    ("<|channel|>analysis<|message|>\\boxed{5}?<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{4}", "4"),
    ("<analysis>maybe \\boxed{5}.</analysis>\\boxed{4}", "4"), (B("5만"), "50000"), (B("5 Millionen"), "5000000"), (B("2 млн"), "2000000"),
    (B(r"P(X=2)=\frac12"), "0.5"), (B(r"\sigma^2=3"), "3"), (B(r"\frac{d^2y}{dx^2}=2"), "2"), (B(r"(f\circ g)(2)=5"), "5"),
    (B(r"A^{-1}=\begin{pmatrix}1\\2\end{pmatrix}"), r"\begin{pmatrix}1\\2\end{pmatrix}"), (B(r"x=2\text{ (double root)}"), "2"),
    (B(r"\text{Alice}=3,\text{Bob}=4"), r"\text{Bob}=4,\text{Alice}=3"), (B(r"\$5\text{/hour}"), r"\$5"), (B(r"3{:}00\text{ PM}"), r"3\text{:}00\text{ p.m.}"),
    ("The answer is given by $\\boxed{7}$.", "7"), (r"we round $6.8$ up to $\boxed{7}$.", "7"), (r"They add up to \boxed{7}.", "7"), (r"It grew from 3 to \boxed{7}.", "7"), (r"the sum of 3 and 4 is \boxed{7}.", "7"), (r"$107\equiv\boxed{7}\pmod{10}$", "7"), (r"\boxed{7} (7 apples)", "7"),
    (B(r"\pi"), "3.14"), (B(r"\sqrt2"), "1.41"), (B(r"7,5"), r"7\text{ apples},5\text{ oranges}"),
]  # fmt: skip


@pytest.mark.parametrize("words", BOUNDS_AND_OPERATIONS)
def test_words_that_bound_or_change_a_number_are_not_that_number(words: str) -> None:
    for text in (f"The answer is {words}.", f"#### {words}", B(rf"\text{{{words}}}")):
        assert verify(text, "12").outcome == "fail", text


@pytest.mark.parametrize("text", BESIDE_BOXES)
def test_what_stands_beside_a_box_is_part_of_what_it_says(text: str) -> None:
    assert verify(text, "5").outcome == "fail"


@pytest.mark.parametrize(("text", "reference"), FAILS)
def test_a_text_without_the_answer_fails(text: str, reference: str) -> None:
    assert verify(text, reference).outcome == "fail"


@pytest.mark.parametrize(("text", "reference"), PASSES)
def test_an_answer_in_other_clothes_passes(text: str, reference: str) -> None:
    verdict = verify(text, reference)
    assert verdict.outcome == "pass", verdict
