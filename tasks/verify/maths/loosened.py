"""The maths verifier under a user's own strictness (schemas/recipes/strictness.py): units ignored or
required, a percent sign that may be left out, a tolerance for numbers.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from schemas.recipes.strictness import Strictness
from tasks.verify.maths.equal import same
from tasks.verify.maths.expression import Measure, Row, Tree, rational
from tasks.verify.maths.scalars import LOW_BITS, quotient
from tasks.verify.maths.values import Undefined, compute


def same_by(answer: Tree, reference: Tree, equal: bool, strictness: Strictness) -> bool:
    """Whether an answer is the reference's by this strictness, where it is `equal` by the verifier's own."""
    if equal:
        return strictness.units != "required" or not _lacks_unit(answer, reference)
    if strictness.percent == "either":
        answer, reference = (_without_percent(each) for each in (answer, reference))
        if any(_near(_times(answer, n), reference, strictness) for n in (1, 100, Fraction(1, 100))):
            return True
    if strictness.units == "ignored":
        answer, reference = (_without_unit(each) for each in (answer, reference))
        if same(answer, reference):
            return True
    return bool(strictness.tolerance) and _near(answer, reference, strictness)


def _lacks_unit(answer: Tree, reference: Tree) -> bool:
    unit = reference.unit if isinstance(reference, Measure) else ""
    return bool(unit) and not (isinstance(answer, Measure) and answer.unit)


def _without_percent(tree: Tree) -> Tree:
    return tree.amount if isinstance(tree, Measure) and tree.unit == "%" else tree


def _without_unit(tree: Tree) -> Tree:
    if isinstance(tree, Measure):
        return tree if tree.unit == "%" else tree.amount
    return replace(tree, items=tuple(map(_without_unit, tree.items))) if isinstance(tree, Row) else tree


def _times(tree: Tree, factor: int | Fraction) -> Tree:
    number = rational(tree)
    return replace(number, value=number.value * factor) if number else tree


def _near(answer: Tree, reference: Tree, strictness: Strictness) -> bool:
    """Two numbers within the tolerance, by the size of the reference; rows item by item."""
    if isinstance(answer, Row) and isinstance(reference, Row) and len(answer.items) == len(reference.items):
        ends = (answer.opening, answer.closing) == (reference.opening, reference.closing)
        return ends and all(
            _near(a, b, strictness) for a, b in zip(answer.items, reference.items, strict=True)
        )
    if isinstance(answer, Measure) and isinstance(reference, Measure) and answer.unit == reference.unit:
        return _near(answer.amount, reference.amount, strictness)
    try:
        a, b = (compute(each, {}, LOW_BITS, real=True) for each in (answer, reference))
        return a == b if b == 0 else bool(abs(quotient(a, b) - 1) <= strictness.tolerance)
    except Undefined:
        return same(answer, reference)
