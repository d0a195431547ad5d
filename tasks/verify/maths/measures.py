"""Amounts with units as the reader joins them: scales, several units of one kind, "and" between two."""

from __future__ import annotations

from fractions import Fraction

from tasks.verify.maths.expression import (
    Apply,
    Chain,
    Matrix,
    Measure,
    Name,
    Number,
    Numeral,
    Row,
    Tree,
    Unreadable,
    rational,
    variables,
)
from tasks.verify.maths.operands import apply
from tasks.verify.maths.units import ratio, unit_name
from tasks.verify.maths.words import may_follow, noun


def joined_or_both(left: Tree, right: Tree) -> list[Tree]:
    """2 hours and 30 minutes are one amount; 5 kg and 7 m are two."""
    if isinstance(left, Measure) and isinstance(right, Measure) and left.unit and left.unit != right.unit:
        part = ratio(right.unit, left.unit)
        if part is not None and part < 1:
            return [together(left, right)]
    if _is_condition(left) and _is_condition(right) and len(variables(left) | variables(right)) == 1:
        return [Apply("cap", (left, right))]
    return [left, right]


def _is_condition(tree: Tree) -> bool:
    return isinstance(tree, Chain) and all(sign in ("<", ">", "<=", ">=", "!=") for sign in tree.signs)


def without(whole: Tree, points: Tree) -> Tree:
    """A set of numbers without the listed ones."""
    if not isinstance(points, Row) or points.opening != "\\{":
        raise Unreadable("what is taken out is no list of numbers")
    for point in points.items:
        whole = Apply("cap", (whole, Chain((Name("x"), point), ("!=",))))
    return whole


def measured(amount: Tree, words: list[str]) -> Measure:
    """An amount with the longest unit that its words begin with, and the rest of them as a noun."""
    for count in range(len(words), 0, -1):
        name = unit_name(" ".join(words[:count]))
        if name:
            break
    else:
        count, name = 0, ""
    rest = " ".join(words[count:])
    counted = rest if name not in ("", "/", "%") else " ".join(words)
    if not may_follow(counted) or any(word in ("never", "neither") for word in words):
        raise Unreadable(f"the word {ascii(' '.join(words))[:40]}")
    return Measure(amount, name, noun(rest))


def scaled(amount: Tree, scale: int) -> Tree:
    """An amount times a scale; a number stays a number, and each end of an interval has its own."""
    if isinstance(amount, Number):
        return Number(amount.value * scale, 0)
    if isinstance(amount, Row | Matrix | Chain | Measure | Numeral):
        raise Unreadable("a scale of what is no number")
    return apply("*", Number(Fraction(scale)), amount)


def together(left: Measure, right: Tree) -> Measure:
    """5 feet 6 inches as inches' multiple of a foot."""
    part = ratio(right.unit, left.unit) if isinstance(right, Measure) else None
    if not isinstance(right, Measure) or part is None or part >= 1:
        raise Unreadable("two amounts with nothing between")
    amounts = [rational(left.amount), rational(right.amount)]
    if amounts[0] is None or amounts[1] is None or amounts[1].value * part >= 1:
        raise Unreadable("two amounts with nothing between")
    return Measure(Number(amounts[0].value + amounts[1].value * part), left.unit, right.noun)
