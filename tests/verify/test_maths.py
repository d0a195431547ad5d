"""What the maths verifier reads as an answer, what it refuses, and that nothing hostile hurts it."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tasks.verify.maths.maths import equations, verify

READ = [
    ("#### 1,234", "1234"), ("#### $1,234.00", "1234"), ("#### 12 dollars.", "12"), ("####12", "12"),
    ("#### 18\r\n", "18"), ("####\n12", "12"), ("#### 12</s>", "12"), ("#### 12 .", "12"),
    ("#### (12)", "12"),
    ("#### -5", "-5"), ("#### \u22125", "-5"), ("#### \u20135", "-5"), ("#### -$5", "-5"),
    ("#### $-5", "-5"),
    ("#### minus 5", "-5"), ("#### +5", "5"), ("#### -0", "0"), ("#### 5-year", "5"),
    ("#### 1/2", "0.5"), ("#### 1 1/2", "1.5"), ("#### 2\u00bd", "2.5"), ("#### .5", "1/2"),
    ("#### 3.", "3"),
    ("#### 0.333", "1/3"), ("#### 0.167", "1/6"), ("#### 10%", "10%"), ("#### 12 \u20ac", "12"),
    ("#### Rs. 12", "12"),
    ("#### 1e3", "1000"), ("#### 1.2e-1", "0.12"), ("#### 1.2 x 10^3", "1200"), ("#### 10\u00b2", "100"),
    ("#### \uff11\uff12", "12"), ("#### \uff04\uff11\uff0c\uff12\uff13\uff14", "1234"),
    ("#### 1\u202f234", "1234"),
    ("#### \u0661\u0662", "12"), ("#### 12\u200b", "12"), ("#### 12 m\u00b2", "12"), ("#### 5 km/h", "5"),
    ("#### 12kg", "12"), ("#### 1.8 Million", "1800000"), ("#### 25k", "25000"),
    ("#### x = 12", "12"), ("#### 3*4 = 12", "12"), ("#### 1" + "0" * 24, "1e24"),
    ("**73**", "73"), ("so the total is **73** apples.", "73"), ("1e3", "1000"), ("$42", "42"),
    ("10%", "10\\%"),
    ("The answer is 12", "12"), ("THE ANSWER IS 5", "5"), ("**Answer:** 12 apples", "12"),
    ("The final answer is $12$. I hope it is correct.", "12"), ("The answer is 12.5.", "12.5"),
    ("Answer: 5\nThis answer is correct.", "5"), ("The answer to the question is 5.", "5"),
    ("steps\nA: 12\n", "12"), ("A: 12", "12"), ("#### 12\n#### 13", "13"),
    ("The answer is 12.\n#### 13", "13"),
    ("\\boxed{73}", "73"), ("$\\boxed{\\frac{1}{2}}$", "0.5"), ("\\boxed{\\$1{,}234}", "1234"),
    ("\\boxed{12\\text{ dollars}}", "12"), ("\\boxed{1.2 \\times 10^{3}}", "1200"), ("\\boxed 5", "5"),
]  # fmt: skip

REFUSED = [
    ("I refuse. 42", "42"), ("", "42"), (" \n", "42"), ("None", "0"), ("the answer is unknown", "42"),
    ("#### 12 or 13", "12"), ("#### 12 or 13", "13"), ("12 or 13", "12"), ("A or B or C", "12"),
    ("#### 12or13", "12"),
    ("#### 12, 13", "12"), ("#### 12-13", "12"), ("#### 12-13", "13"), ("#### 12 to 13", "12"),
    ("#### 12 13", "12"),
    ("#### not 12", "12"), ("#### it isn't 12", "12"), ("#### > 12", "12"), ("#### \u00b15", "5"),
    ("#### --5", "-5"), ("#### -(5)", "5"), ("#### - -5", "5"), ("#### - -5", "-5"),
    ("#### 11 = 12", "12"), ("#### 12 = 11", "11"), ("#### 3*4", "12"), ("#### 2x6", "12"),
    ("#### 12 - 5", "7"),
    ("#### NaN", "12"), ("#### inf", "12"), ("#### 1e999", "12"), ("#### 1/0", "1"), ("#### 10^9999", "1"),
    ("#### 3:30", "3"), ("#### 12/13/14", "12"), ("#### 1.2.3", "1.2"), ("#### 12,34", "1234"),
    ("#### 0x1F", "0"),
    ("#### 10%", "0.1"), ("#### 0.1", "10%"), ("#### 10%", "10"),
    ("#### 10", "10%"), ("10%", "10"), ("#### one", "1"), ("####", "12"), ("#### 12.0011", "12"),
    ("#### 1/2^99", "1/2^98"), ("#### 1-1/e", "1+1/e"), ("#### 1-1/e", "1"), ("#### 1/e", "1"),
    ("#### 0.0002", "0.0004"),
    ("#### 4", "4.01"), ("#### 4\u221a2", "4"), ("#### 2\u03c0", "2"), ("#### 4x", "4"),
    ("#### 0.0005", "0"),
    ("\\boxed{12 or 13}", "12"), ("\\boxed{12} or \\boxed{13}", "13"), ("**12** or **13**", "13"),
    ("The answer is 12; 13", "12"), ("The answer is 12 as well as 13", "12"),
    ("The answer is 12? 13?", "12"), ("\\boxed{", "5"), ("**", "5"), ("**5** or 6", "5"),
    ("\ud800", "12"), ("\0", "12"), ("#### \ud800 12\ud800 13", "12"),
    ("#### __import__('os').system('x')", "0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reference"), READ)
def test_a_marked_answer_is_read_in_every_common_form(text: str, reference: str) -> None:
    assert verify(text, reference).outcome == "pass", verify(text, reference)


@pytest.mark.parametrize(("text", "reference"), REFUSED)
def test_what_is_not_one_marked_number_equal_to_the_reference_never_passes(text: str, reference: str) -> None:
    verdict = verify(text, reference)
    assert verdict.outcome != "pass", verdict
    assert verdict.reason


@pytest.mark.parametrize("reference", [None, "", "  ", "A or B", "12 or 13", "nan", "inf", "####", "None"])
def test_a_reference_without_one_answer_is_unscorable_even_against_itself(reference: str | None) -> None:
    for text in (reference, "#### 12"):
        verdict = verify(text, reference)
        assert (verdict.outcome, verdict.value) == ("unscorable", None)


settings.register_profile("no deadline", deadline=None)  # a shared machine may pause for longer
settings.load_profile("no deadline")

numbers = st.integers(-(10**20), 10**20)
FORMS = (
    "{}",
    "{:,}",
    "{} apples",
    "{}.",
    "{:,}.00",
    "**{}**",
    "${:,}$",
    "{:,} \u20ac",
    "\\${:,}",
    "({})",
)
MARKS = ("#### {}", "so\nA: {}", "The answer is {}", "Answer: {}", "\\boxed{{{}}}", "x\n####{}\n")


@given(number=numbers, form=st.sampled_from(FORMS), mark=st.sampled_from(MARKS), folded=st.booleans())
def test_a_number_passes_in_whatever_form_it_is_written(
    number: int, form: str, mark: str, folded: bool
) -> None:
    text = form.format(number)
    if folded:  # full-width digits and a typographic minus
        text = text.translate({ord("0") + d: 0xFF10 + d for d in range(10)} | {ord("-"): 0x2212})
    verdict = verify(mark.format(text), str(number))
    assert verdict.outcome == "pass", (mark.format(text), verdict)
    assert verdict.answer == str(number)


@given(number=numbers, change=numbers.filter(bool), form=st.sampled_from(FORMS), mark=st.sampled_from(MARKS))
@example(number=2**40 - 1, change=1, form="{:,}.00", mark="#### {}")
@example(number=10**20, change=-1, form="{:,}.00", mark="#### {}")
def test_a_changed_number_always_fails(number: int, change: int, form: str, mark: str) -> None:
    verdict = verify(mark.format(form.format(number + change)), str(number))
    assert (verdict.outcome, verdict.value) == ("fail", 0.0)


@given(thousandths=st.integers(-(10**9), 10**9), off=st.integers(0, 2000))
def test_a_decimal_of_three_places_stands_for_what_rounds_to_it(thousandths: int, off: int) -> None:
    assume(thousandths % 10)  # else it has fewer places
    number = thousandths + (10**4 if thousandths >= 0 else -(10**4))  # away from zero
    near = number * 1000 + off  # in millionths
    text = f"#### {'-' if near < 0 else ''}{abs(near) // 10**6}.{abs(near) % 10**6:06}"
    reference = f"{'-' if number < 0 else ''}{abs(number) // 1000}.{abs(number) % 1000:03}"
    assert (verify(text, reference).outcome == "pass") == (off <= 500)
    assert (verify(f"#### {reference}", text.removeprefix("#### ")).outcome == "pass") == (off <= 500)


@given(text=st.text(), reference=st.text())
def test_no_text_makes_the_verifier_raise(text: str, reference: str) -> None:
    for marked in (
        text,
        f"#### {text}",
        f"<<{text}=1>>\n#### 1",
        f"\\boxed{{{text}}}",
        f"the answer is {text}",
    ):
        for other_reference in (reference, "1"):
            verdict = verify(marked, other_reference)
            verdict.reason.encode()
            assert "\n" not in verdict.reason
            assert all(equation.encode() is not None for equation in verdict.equations)


HOSTILE = [
    "9", "(", "<", "<<", "<<a", "< a", ">", "<<=>>", "<<1+1=2>>", "####", "#### ", "answer is ",
    "answer       ",
    "ANSWER answer ", "\\boxed{", "{", "A: \n", "**", "** ", " ", "\n", "\u0301\u0327", "\ufdfa",
    "\ud800", "\0", "-",
    "1,", "1e", "=", "\u00bd", "<<9^9^9^9=1>>", "<<((((((2^64)^64)^64)^64)^64)=1>>", "9!",
]  # fmt: skip


@pytest.mark.timeout(60)  # five texts of 400,000 characters take about a second; quadratic time takes minutes
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_hostile_text_is_judged_in_linear_time(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    for hostile in (
        text,
        f"#### {text}",
        f"<<{text}=1>>\n#### 5",
        f"\\boxed{{{text}",
        f"the answer is {text}",
    ):
        assert verify(hostile, "7").outcome != "pass"


def test_ten_megabytes_and_two_hundred_thousand_brackets_are_only_long() -> None:
    assert verify("word " * 2_000_000 + "\n#### 5", "5").outcome == "pass"
    nested = "<<" + "(" * 200_000 + "1" + ")" * 200_000 + "=1>>\n#### 5"
    verdict = verify(nested, "5")
    assert (verdict.outcome, verdict.steps) == ("pass", (0.0,))


HOLDS = {
    "48/2=24": True, "0.2*50=10": True, "10/3=3.3333": True, "10/3=3.33": False, "1000+1000=2001": False,
    "2 + 3 * 4 = 14": True, "(2+3)*4=20": True, "-2^2=-4": True, "2^3^2=512": True, "2**3=8": True,
    "8/2/2=2": True,
    "560//10=56": True, "3x4=12": True, "3\u00d74\u00f72=6": True, "5\u22123=2": True,
    "50000*5%=2500": True,
    "1,000*2=2,000": True, "$5*3=$15": True, "5*2/5=2.0=2.0": True, "A+4=4+4=8": False, "3/4=3/4": True,
    "\u00be*4=3": True, "x+56=86": False, "2:15+2:38=4:53": False, "5": False, "": False, "=": False,
    "1=": False,
    "1/0=1": False, "0/0=0": False, "5>3=8": False, "1e3=1000": True, "()=1": False, "(1=1": False,
    "1 1=11": True,
    "99999999999999999999+1=100000000000000000000": True, "12345678901234567*3=37037036703703701": True,
    "99999999999999999999+1=100000100000000000000": False, "__import__('os')=1": False,
    "9**9**9**9=1": False,
}  # fmt: skip


@pytest.mark.parametrize(("equation", "held"), HOLDS.items())
def test_an_equation_is_a_step_that_holds_or_not_beside_the_outcome(equation: str, held: bool) -> None:
    verdict = verify(f"so <<{equation}>> and\n#### 7", "7")
    assert (verdict.outcome, verdict.steps) == ("pass", (float(held),)), verdict


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("+-*"), st.integers(0, 10**6)), max_size=5))
def test_steps_follow_the_order_of_the_annotations(sums: list[tuple[int, str, int]]) -> None:
    results = [{"+": a + b, "-": a - b, "*": a * b}[op] for a, op, b in sums]
    wrong = {1, 3}
    text = " ".join(
        f"{a} {op} {b} = <<{a} {op} {b} = {result + (place in wrong)}>>"
        for place, ((a, op, b), result) in enumerate(zip(sums, results, strict=True))
    )
    verdict = verify(text, "1")
    assert verdict.steps == tuple(float(place not in wrong) for place in range(len(sums)))
    assert verdict.equations == equations(text)
    assert all(" " not in equation for equation in verdict.equations)


def test_equations_are_equal_however_they_are_spaced_and_typeset() -> None:
    assert equations("<<3*4=12>> <<1000/2=500>>") == equations(
        "a <<3 \u00d7 4 = 12>> b\n<< $1,000 \u00f7 2=500 >>"
    )
    assert equations("<<3*4=12>> <<1+1=2>>") != equations("<<1+1=2>> <<3*4=12>>")
    assert equations("<<3+<<1+1=2>>") == ("1+1=2",)
    assert equations("no annotation <<3*4=12") == ()
