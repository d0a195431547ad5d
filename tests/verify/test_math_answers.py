"""The maths verifier on answers as MATH has them: pairs with known labels, marks, and rewritings."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.verify.maths.maths import verify
from tests.verify.math_pairs import DECIDED, DIFFERENT, EQUAL, OBSERVED

settings.register_profile("no deadline", deadline=None)  # a shared machine may pause for longer
settings.load_profile("no deadline")

SAME = [pair for pairs in EQUAL.values() for pair in pairs]
OTHER = [pair for pairs in DIFFERENT.values() for pair in pairs]


def boxed(answer: str) -> str:
    return rf"Therefore the final answer is $\boxed{{{answer}}}$."


def equal(answer: str, reference: str) -> bool:
    verdict = verify(boxed(answer), reference)
    assert verdict.outcome in ("pass", "fail"), verdict
    return verdict.outcome == "pass"


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_an_answer_passes_in_any_equivalent_writing(reference: str, answer: str) -> None:
    assert equal(answer, reference), verify(boxed(answer), reference)


@pytest.mark.parametrize(("reference", "answer"), OTHER)
def test_a_different_answer_never_passes(reference: str, answer: str) -> None:
    assert not equal(answer, reference)


@pytest.mark.parametrize(("reference", "answer", "label"), DECIDED + OBSERVED)
def test_decided_and_observed_pairs_have_their_label(reference: str, answer: str, label: bool) -> None:
    assert equal(answer, reference) == label, verify(boxed(answer), reference)


def test_the_table_is_large_and_no_pair_stands_in_it_twice() -> None:
    pairs = SAME + OTHER + [pair[:2] for pair in DECIDED]
    assert len(pairs) == len(set(pairs)) >= 300


def test_every_answer_equals_itself_and_no_answer_of_another_kind_of_the_table() -> None:
    answers = sorted({answer for _, answer in SAME if " or " not in answer and "or }" not in answer})
    for answer in answers:
        assert equal(answer, answer), answer
    for here, pairs in EQUAL.items():
        for there, others in EQUAL.items():
            if here in DISTINCT and there in DISTINCT and here != there:
                for reference, _ in pairs[:8]:
                    assert not any(equal(answer, reference) for _, answer in others[:8]), reference


DISTINCT = (
    "radicals and constants",
    "expressions",
    "intervals and inequalities",
    "matrices",
    "bases and text",
)

MARKED = [
    (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"), (r"#### \frac{3}{4}", "0.75"),
    ("The answer is $x^2+1$.", "1+x^2"), ("The final answer is $(1, 2)$. I hope it is correct.", "(1,2)"),
    ("Final Answer: The interval is $[0, 1)$", "[0,1)"), ("**Answer:** (B)", "B"),
    ("The answer is Tuesday.", "Tuesday"), (r"first \boxed{5}, again \boxed{5}", "5"),
    (r"\boxed{1} and \boxed{-2}", "-2,1"), (r"\boxed{0.5} = \boxed{\frac12}", "1/2"), (r"\fbox{7}", "7"),
    (r"$\boxed{28}\%$", r"28\%"), (r"$\boxed{28}\%$", "28"), (r"\boxed{\text{(C)}}", "C"),
    (r"so \boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    (r"\boxed{x \in \{1, 2\}}", r"work, so \boxed{\{2,1\}}"), ("The answer is that $x = 5$.", "5"),
    ("A: 2x + 1", "2x+1"),
]  # fmt: skip

UNMARKED = [
    ("I refuse. $x^2$", "x^2"), ("I refuse. 42", "42"), ("$x^2+1$", "x^2+1"),
    (r"\frac{1}{2}", r"\frac{1}{2}"), ("Tuesday", "Tuesday"), ("", "x"), ("None", "None of these"),
    (r"\boxed{}", "x"), (r"\boxed{ }", "x"), (r"\boxed{None}", r"\text{none of these}"),
    (r"\boxed{12} or \boxed{13}", "12"), (r"\boxed{12} or \boxed{13}", "13"),
    (r"\boxed{x} ... \boxed{y}", "y"), (r"\boxed{A or B or C}", "A"), (r"\boxed{A or B or C}", "C"),
    (r"\boxed{x=1 or x=2}", "x=2"), (r"\boxed{\text{A or B}}", "B"), (r"\boxed{x? y?}", "x"),
    (r"\boxed{not x}", "x"), (r"\boxed{\frac{1}{2}", "1/2"), (r"\boxed{x", "x"),
    ("The answer is $x$ or $y$.", "x"), ("The answer is not $x$.", "x"), ("#### I cannot answer", "x"),
    (r"\boxed{5} #### \boxed{6}", "6"),
    *[(r"\boxed{7} " * 20 + rf"\boxed{{{wrong}}} " * 20, "7") for wrong in ("7", "8")],
]  # fmt: skip


@pytest.mark.parametrize(("text", "reference"), MARKED)
def test_an_answer_is_found_wherever_it_is_marked(text: str, reference: str) -> None:
    assert verify(text, reference).outcome == "pass", verify(text, reference)


@pytest.mark.parametrize(("text", "reference"), UNMARKED)
def test_no_marked_answer_or_several_different_ones_is_no_pass(text: str, reference: str) -> None:
    verdict = verify(text, reference)
    assert verdict.outcome == "fail"
    assert verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(
    "reference", ["A or B", r"\text{yes or no}", "12 or 13", "None", r"\text{none}", "", r"\boxed{}"]
)
def test_a_reference_that_is_no_answer_is_unscorable(reference: str) -> None:
    assert verify(boxed("12"), reference).outcome == "unscorable"


def test_the_answer_in_a_verdict_is_canonical_for_numbers_and_compact_for_the_rest() -> None:
    cases = {
        r"\frac{6}{4}": "1.5",
        r"10\%": "10%",
        r"5\text{ cm}": "5",
        r"\left( 1,\, 2 \right)": "(1,2)",
        "½": "0.5",
    }
    for answer, canonical in cases.items():
        assert verify(boxed(answer), "x").answer == canonical


# Random expressions as pairs: a writing, and another writing of the same.
LEAVES = st.one_of(
    st.integers(1, 9).map(lambda n: (str(n), f"({n})")),
    st.sampled_from(
        [
            ("x", "{x}"),
            ("y", "(y)"),
            (r"\pi", "π"),
            (r"\sqrt{2}", "2^{1/2}"),
            (r"\sqrt{x^2+1}", "(1+x^2)^{0.5}"),
        ]
    ),
    st.tuples(st.integers(1, 9), st.integers(2, 9)).map(
        lambda pair: (rf"\frac{{{pair[0]}}}{{{pair[1]}}}", f"({pair[0]}/{pair[1]})")
    ),
)


def grow(children: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    pair = st.tuples(children, children)
    return st.one_of(
        pair.map(lambda p: (f"({p[0][0]}+{p[1][0]})", f"({p[1][1]}+{p[0][1]})")),
        pair.map(lambda p: (f"({p[0][0]}-{p[1][0]})", rf"\left(-({p[1][1]})+{p[0][1]}\right)")),
        pair.map(lambda p: (f"{p[0][0]}({p[1][0]})", rf"{p[1][1]} \cdot {p[0][1]}")),
        pair.map(
            lambda p: (rf"\frac{{{p[0][0]}}}{{({p[1][0]})^2+1}}", f"({p[0][1]})/(1+({p[1][1]})({p[1][1]}))")
        ),
        children.map(lambda p: (f"({p[0]})^2", f"({p[1]})({p[1]})")),
    )


OFF = ["1", "x", r"\frac{1}{10^{40}}", r"\pi", "x^2", r"\sqrt{3}", r"\frac{y}{7}"]
EXPRESSIONS = st.recursive(LEAVES, grow, max_leaves=5)


@settings(max_examples=60)
@given(pair=EXPRESSIONS)
def test_a_rewritten_expression_passes(pair: tuple[str, str]) -> None:
    """Beside a term that none of them takes away: what is 0 everywhere agrees at no point that counts."""
    reference, answer = f"17x^5+({pair[0]})", f"({pair[1]})+17x^5"
    assert equal(answer, reference), (pair, verify(boxed(answer), reference))


@settings(max_examples=60)
@given(
    pair=EXPRESSIONS,
    off=st.sampled_from(["1", "x", r"\frac{1}{10^{40}}", r"\pi", "x^2", r"\sqrt{3}", r"\frac{y}{7}"]),
)
def test_a_perturbed_expression_fails(pair: tuple[str, str], off: str) -> None:
    assert not equal(f"x+({pair[1]})+{off}", f"x+({pair[0]})"), (pair, off)


FRACTIONS = st.lists(st.fractions(-20, 20, max_denominator=30), min_size=2, max_size=6, unique=True)


@settings(max_examples=60)
@given(values=FRACTIONS)
def test_sets_take_any_order_and_points_only_their_own(values: list[Fraction]) -> None:
    items = [rf"\frac{{{value.numerator}}}{{{value.denominator}}}" for value in values]
    in_order, turned = ",".join(items), ", ".join(items[1:] + items[:1])
    assert equal(rf"\{{{turned}\}}", rf"\{{{in_order}\}}")
    assert equal(turned, in_order)
    assert not equal(f"({turned})", f"({in_order})")
    assert not equal(rf"\{{{','.join(items[1:])}\}}", rf"\{{{in_order}\}}")


ENDS = st.tuples(st.sampled_from("(["), st.sampled_from(")]"))


@given(low=st.integers(-9, 9), width=st.integers(1, 9), here=ENDS, there=ENDS)
def test_intervals_are_equal_only_with_both_ends(
    low: int, width: int, here: tuple[str, str], there: tuple[str, str]
) -> None:
    reference = f"{here[0]}{low},{low + width}{here[1]}"
    less = {"(": "<", "[": r"\le", ")": "<", "]": r"\le"}
    assert equal(f"{there[0]}{low},{low + width}{there[1]}", reference) == (here == there)
    inequality = rf"{low} {less[there[0]]} t {less[there[1]]} {low + width}"
    assert equal(inequality, reference) == (here == there)
