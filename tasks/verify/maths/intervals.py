"""Sets of real numbers: intervals, their unions, and inequalities in one variable, brought to one form.

Only constant ends are ordered; a set whose ends hold variables compares piece by piece as written.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tasks.verify.maths.expression import (
    INFINITY,
    Apply,
    Chain,
    Name,
    Number,
    Row,
    Tree,
    negative,
    rational,
    variables,
)
from tasks.verify.maths.scalars import HIGH_BITS, same_scalar
from tasks.verify.maths.values import Undefined, compute

_PLUS = Name(INFINITY)
_MINUS = negative(_PLUS)
_LESS = {"<": False, "<=": True}
_MORE = {">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval: its ends and whether each belongs to it."""

    low: Tree
    with_low: bool
    high: Tree
    with_high: bool


_LINE = Piece(_MINUS, False, _PLUS, False)


def as_pieces(tree: Tree) -> list[Piece] | None:
    """The intervals that a tree stands for; None where it is no set of real numbers.

    An open interval looks like a point (1, 2); callers decide which is meant.
    """
    match tree:
        case Name("reals"):
            return [_LINE]
        case Apply("cup", parts):
            pieces = [as_pieces(part) for part in parts]
            return None if None in pieces else [each for piece in pieces for each in piece or ()]
        case Apply("cap", (left, right)):
            both = as_pieces(left), as_pieces(right)
            return None if both[0] is None or both[1] is None else _common(both[0], both[1])
        case Row("(" | "[" as opening, (low, high), ")" | "]" as closing):
            return [Piece(low, opening == "[", high, closing == "]")]
        case Row("\\{", items, _):
            return [Piece(item, True, item, True) for item in items]
        case Chain((_, inside), ("in",)):
            return as_pieces(inside)
        case Chain():
            return _inequality(tree)
    return None


def _inequality(chain: Chain) -> list[Piece] | None:
    """x < 5, 1 < x <= 5 and 5 >= x > 1, about one bare variable, with ends free of it."""
    sides, signs = chain.sides, chain.signs
    apart = _distance(chain)
    if apart is not None:
        return apart
    if all(sign in _MORE for sign in signs):
        sides, signs = sides[::-1], tuple(_MORE[sign] for sign in signs[::-1])
    if chain.signs == ("!=",):
        return _all_but(*sides)
    if not all(sign in _LESS for sign in signs) or len(sides) > 3:
        return None
    names = [place for place, side in enumerate(sides) if isinstance(side, Name) and variables(side)]
    if len(names) != 1 or any(variables(side) for place, side in enumerate(sides) if place != names[0]):
        return None
    place = names[0]
    if len(sides) == 3:
        return [Piece(sides[0], _LESS[signs[0]], sides[2], _LESS[signs[1]])] if place == 1 else None
    if place == 0:
        return [Piece(_MINUS, False, sides[1], _LESS[signs[0]])]
    return [Piece(sides[0], _LESS[signs[0]], _PLUS, False)]


def _distance(chain: Chain) -> list[Piece] | None:
    """|x| < 3 and |x - 1| >= 2, with a constant right side that is not negative."""
    match chain:
        case Chain((Apply("abs", (inner,)), bound), (sign,)) if not variables(bound):
            pass
        case Chain((bound, Apply("abs", (inner,))), (sign,)) if not variables(bound):
            sign = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
        case _:
            return None
    middle = _middle(inner)
    if middle is None or sign not in ("<", ">", "<=", ">="):
        return None
    ends = [_sum(middle, negative(bound)), _sum(middle, bound)]
    if sign in _LESS:
        return [Piece(ends[0], _LESS[sign], ends[1], _LESS[sign])]
    closed = sign == ">="
    return [Piece(_MINUS, False, ends[0], closed), Piece(ends[1], closed, _PLUS, False)]


def _sum(left: Tree, right: Tree) -> Tree:
    numbers = rational(left), rational(right)
    if numbers[0] and numbers[1]:
        return Number(numbers[0].value + numbers[1].value)
    return right if numbers[0] and numbers[0].value == 0 else Apply("+", (left, right))


def _middle(inner: Tree) -> Tree | None:
    """The number that x - c is the distance from."""
    match inner:
        case Name() if variables(inner):
            return Number(Fraction(0))
        case Apply("+", (Name() as name, shift)) if variables(name) and not variables(shift):
            return negative(shift)
    return None


def _common(one: list[Piece], other: list[Piece]) -> list[Piece] | None:
    """What two unions have in common; None for ends without order."""
    pieces = []
    try:
        for a in one:
            for b in other:
                low = max(
                    (a.low, a.with_low), (b.low, b.with_low), key=lambda end: (_place(end[0]), not end[1])
                )
                high = min(
                    (a.high, a.with_high), (b.high, b.with_high), key=lambda end: (_place(end[0]), end[1])
                )
                places = _place(low[0]), _place(high[0])
                if places[0] < places[1] or (places[0] == places[1] and low[1] and high[1]):
                    pieces.append(Piece(low[0], low[1], high[0], high[1]))
    except Undefined:
        return None
    return pieces


def _all_but(left: Tree, right: Tree) -> list[Piece] | None:
    if not (isinstance(left, Name) and variables(left)) or variables(right):
        return None
    return [Piece(_MINUS, False, right, False), Piece(right, False, _PLUS, False)]


def same_pieces(answer: list[Piece], reference: list[Piece]) -> bool:
    """Whether two unions are the same set."""
    try:
        left, right = _merged(answer), _merged(reference)
    except Undefined:
        left, right = answer, reference
    if len(left) != len(right):
        return False
    return all(
        (a.with_low, a.with_high) == (b.with_low, b.with_high)
        and same_scalar(a.low, b.low)
        and same_scalar(a.high, b.high)
        for a, b in zip(left, right, strict=True)
    )


def _merged(pieces: list[Piece]) -> list[Piece]:
    """The pieces from left to right, those that touch made one; raises Undefined for ends without order."""
    ordered = sorted(pieces, key=lambda piece: (_place(piece.low), not piece.with_low))
    whole: list[Piece] = []
    for piece in ordered:
        if _place(piece.low) > _place(piece.high):
            raise Undefined("an interval whose ends are in the wrong order")
        last = whole[-1] if whole else None
        if last and _touch(last, piece):
            whole[-1] = _joined(last, piece)
        else:
            whole.append(piece)
    return whole


def _touch(left: Piece, right: Piece) -> bool:
    if _place(left.high) == _place(right.low):
        return left.with_high or right.with_low
    return _place(left.high) > _place(right.low)


def _joined(left: Piece, right: Piece) -> Piece:
    longer = max((left, right), key=lambda piece: (_place(piece.high), piece.with_high))
    return Piece(left.low, left.with_low, longer.high, longer.with_high)


def _place(end: Tree) -> tuple[int, Any]:
    """Where an end lies: before, among or after the numbers, to 512 bits."""
    if end == _PLUS:
        return 1, Fraction(0)
    if end == _MINUS:
        return -1, Fraction(0)
    value = compute(end, {}, HIGH_BITS, real=True)
    if isinstance(value, Fraction):
        return 0, value
    # A Fraction and a rounded number compare exactly as fractions.
    sign, mantissa, exponent, _ = value._mpf_
    return 0, Fraction(-mantissa if sign else mantissa) * Fraction(2) ** exponent
