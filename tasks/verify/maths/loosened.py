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


def same_by(found: Tree, wanted: Tree, equal: bool, strictness: Strictness) -> bool:
    """Whether an answer is the reference's by this strictness, where it is `equal` by the verifier's own."""
    if equal:
        return strictness.units != "required" or not _lacks_unit(found, wanted)
    if strictness.percent == "either":
        found, wanted = (_without_percent(each) for each in (found, wanted))
        if any(_near(_times(found, n), wanted, strictness) for n in (1, 100, Fraction(1, 100))):
            return True
    if strictness.units == "ignored":
        found, wanted = (_without_unit(each) for each in (found, wanted))
        if same(found, wanted):
            return True
    return bool(strictness.tolerance) and _near(found, wanted, strictness)


def _lacks_unit(found: Tree, wanted: Tree) -> bool:
    unit = wanted.unit if isinstance(wanted, Measure) else ""
    return bool(unit) and not (isinstance(found, Measure) and found.unit)


def _without_percent(tree: Tree) -> Tree:
    return tree.amount if isinstance(tree, Measure) and tree.unit == "%" else tree


def _without_unit(tree: Tree) -> Tree:
    if isinstance(tree, Measure):
        return tree if tree.unit == "%" else tree.amount
    return replace(tree, items=tuple(map(_without_unit, tree.items))) if isinstance(tree, Row) else tree


def _times(tree: Tree, factor: int | Fraction) -> Tree:
    number = rational(tree)
    return replace(number, value=number.value * factor) if number else tree


def _near(found: Tree, wanted: Tree, strictness: Strictness) -> bool:
    """Two numbers within the tolerance, by the size of the reference; rows item by item."""
    if isinstance(found, Row) and isinstance(wanted, Row) and len(found.items) == len(wanted.items):
        ends = (found.opening, found.closing) == (wanted.opening, wanted.closing)
        return ends and all(_near(a, b, strictness) for a, b in zip(found.items, wanted.items, strict=True))
    if isinstance(found, Measure) and isinstance(wanted, Measure) and found.unit == wanted.unit:
        return _near(found.amount, wanted.amount, strictness)
    try:
        a, b = (compute(each, {}, LOW_BITS, real=True) for each in (found, wanted))
        return a == b if b == 0 else bool(abs(quotient(a, b) - 1) <= strictness.tolerance)
    except Undefined:
        return same(found, wanted)
