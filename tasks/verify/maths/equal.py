"""Whether two answers are the same: shape against shape, and scalars by `scalars.py`.

A rule a shape, stated at its function. Lists and sets compare without order, points and matrices with it;
intervals, their unions and inequalities in one variable compare as sets of real numbers; a name before "="
is left off where the other answer has none.
"""

from __future__ import annotations

from fractions import Fraction

from tasks.verify.maths.expression import (
    Apply,
    Chain,
    Matrix,
    Measure,
    Name,
    Number,
    Row,
    Tree,
    Words,
    negative,
    rational,
    variables,
)
from tasks.verify.maths.intervals import as_pieces, same_pieces
from tasks.verify.maths.relations import (
    applied,
    comes_to,
    has_number,
    is_a_share_twice,
    is_label,
    is_power,
    is_solved,
    subject,
)
from tasks.verify.maths.scalars import comparable, is_real, points, quotient, same_scalar
from tasks.verify.maths.signs import spread
from tasks.verify.maths.units import CURRENCY, ratio
from tasks.verify.maths.values import Undefined, Value, compute
from tasks.verify.maths.words import same_noun
from tasks.verify.maths.writings import EMPTY

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_BRACKETS = {"<(": "(", ")>": ")"}
_MONEY = frozenset(CURRENCY.values())
MOST_ITEMS = 64  # of two lists compared without order


def same(answer: Tree, reference: Tree) -> bool:
    """Whether an answer is the reference's."""
    if answer == reference:
        return True
    answer, reference = spread(answer), spread(reference)
    for chain, other in ((answer, reference), (reference, answer)):
        if isinstance(chain, Chain) and not isinstance(other, Chain) and is_a_share_twice(chain):
            return any(same(side, other) for side in chain.sides)
    if isinstance(answer, Chain) and isinstance(reference, Measure):  # x = 5 cm has its own unit
        value = _assigned(answer)
        return value is not None and same(value, reference)
    if isinstance(answer, Measure) and isinstance(reference, Chain):
        value = _assigned(reference)
        return value is not None and same(answer, value)
    if isinstance(answer, Measure) or isinstance(reference, Measure):
        return _same_measure(answer, reference)
    if isinstance(answer, Chain) or isinstance(reference, Chain):
        return _same_chain(answer, reference)
    if isinstance(answer, Matrix) and isinstance(reference, Matrix):
        return _same_matrix(answer, reference)
    if {type(answer), type(reference)} == {Words, Row}:
        word, row = (answer, reference) if isinstance(answer, Words) else (reference, answer)
        return word == Words(EMPTY) and row == Row("\\{", (), "\\}")
    if isinstance(answer, Row) or isinstance(reference, Row) or _is_cup(answer) or _is_cup(reference):
        return _same_row(answer, reference)
    if isinstance(answer, (Number, Name, Apply)) and isinstance(reference, (Number, Name, Apply)):
        return same_scalar(answer, reference)
    return False  # numerals and words are equal only as written


def _is_cup(tree: Tree) -> bool:
    return isinstance(tree, Apply) and tree.function in ("cup", "cap")


def _same_measure(answer: Tree, reference: Tree) -> bool:
    """Amounts agree in the same unit, or in units of one kind that are turned into each other; a percentage
    equals a percentage only. Other words agree where both have some.
    """
    a, b = (tree if isinstance(tree, Measure) else Measure(tree, "") for tree in (answer, reference))
    if (
        not same_noun(a.noun, b.noun)
        or (a.unit and not b.unit and b.noun)
        or (b.unit and not a.unit and a.noun)
    ):
        return False
    if "%" in (a.unit, b.unit) and a.unit != b.unit:
        return False
    if a.unit == b.unit or not (a.unit and b.unit):
        return same(a.amount, b.amount)
    if a.unit.partition("/")[0] == b.unit.partition("/")[0] and "" in (
        a.unit.partition("/")[2],
        b.unit.partition("/")[2],
    ):
        return a.unit.partition("/")[0] in _MONEY and same(a.amount, b.amount)  # $5 and $5 an hour
    part = ratio(a.unit, b.unit)
    if part is None or not all(isinstance(each.amount, Number | Name | Apply) for each in (a, b)):
        return False
    left, right = Apply("*", (Number(part), a.amount)), Apply("*", (Number(Fraction(1)), b.amount))
    decimals = [rational(each.amount) for each in (a, b)]
    if decimals[0] and decimals[1]:
        return decimals[0].value * part == decimals[1].value
    return same_scalar(left, right)


def _same_matrix(answer: Matrix, reference: Matrix) -> bool:
    if [len(row) for row in answer.rows] != [len(row) for row in reference.rows]:
        return False
    return all(
        same(*pair)
        for rows in zip(answer.rows, reference.rows, strict=True)
        for pair in zip(*rows, strict=True)
    )


def _same_row(answer: Tree, reference: Tree) -> bool:
    """Points and intervals in order, lists and sets without; a set of one is no number."""
    pieces = as_pieces(answer), as_pieces(reference)
    if isinstance(answer, Row) and isinstance(reference, Row):
        if _unordered(answer) and _unordered(reference):
            return _same_items(answer.items, reference.items)
        if _ends(answer) == _ends(reference) and len(answer.items) == len(reference.items):
            if all(map(same, answer.items, reference.items)):
                return True
            if answer.opening == ":":
                return False
    if pieces[0] is None or pieces[1] is None:
        return False
    return not _are_points(answer, reference) and same_pieces(pieces[0], pieces[1])


def _are_points(*trees: Tree) -> bool:
    return all(isinstance(tree, Row) for tree in trees)


def _unordered(row: Row) -> bool:
    return row.opening in ("", "\\{")


def _ends(row: Row) -> tuple[str, str]:
    return _BRACKETS.get(row.opening, row.opening), _BRACKETS.get(row.closing, row.closing)


def _same_items(answer: tuple[Tree, ...], reference: tuple[Tree, ...]) -> bool:
    """Every item of one is an item of the other, each used once; names on one side only keep the order."""
    answer, reference = tuple(dict.fromkeys(answer)), tuple(dict.fromkeys(reference))
    if len(answer) != len(reference) or len(answer) > MOST_ITEMS:
        return False
    are_named = [[isinstance(item, Chain) for item in items] for items in (answer, reference)]
    nouns = [
        [item.noun for item in items if isinstance(item, Measure) and item.noun]
        for items in (answer, reference)
    ]
    if sorted(map(len, nouns)) == [0, len(answer)] and len({*nouns[0], *nouns[1]}) == len(answer) > 1:
        return all(map(same, answer, reference))  # 7, 5 says nothing of which are the apples
    if all(are_named[0]) != all(are_named[1]) and len(set(_names(answer) + _names(reference))) == len(answer):
        return all(map(same, answer, reference))
    left = list(reference)
    for item in answer:
        match = next((place for place, other in enumerate(left) if same(item, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _names(items: tuple[Tree, ...]) -> list[Tree]:
    return [item.sides[0] for item in items if isinstance(item, Chain)]


def _same_chain(answer: Tree, reference: Tree) -> bool:
    """Whether two relations are the same: as sets where both are sets of one variable, as values where one
    names a value, else up to one constant factor of their sides (2x + 4y = 6 and x + 2y = 3)."""
    pieces = as_pieces(answer), as_pieces(reference)
    if pieces[0] is not None and pieces[1] is not None:
        subjects = [subject(tree) for tree in (answer, reference)]
        return (None in subjects or subjects[0] == subjects[1]) and same_pieces(pieces[0], pieces[1])
    if isinstance(answer, Chain) and isinstance(reference, Chain):
        return (is_solved(answer) or not is_solved(reference)) and _same_relation(answer, reference)
    if isinstance(answer, Chain):
        value = _assigned(answer)
        return value is not None and same(value, reference)
    value = _assigned(reference) if isinstance(reference, Chain) else None
    return value is not None and same(answer, value)


def _assigned(chain: Chain) -> Tree | None:
    """The value in x = 5, f(x) = 2x, (p, q) = (3, 2), x = 3 + 2 = 5; None for a bare equation (2x = 10)."""
    if set(chain.signs) == {"="} and not variables(chain) and not _is_equal_to_itself(chain):
        return chain.sides[-1] if all(comes_to(side, chain.sides[-1]) for side in chain.sides[:-1]) else None
    if isinstance(chain.sides[0], Apply) and chain.sides[0].function == "negative":
        return None  # -x = 3 is yet to be solved
    label = is_label(chain.sides[0]) or (isinstance(chain.sides[-1], Matrix) and is_power(chain.sides[0]))
    if (set(chain.signs) - {"=", "in"} and chain.signs != ("~",)) or (
        not label and has_number(chain.sides[0])
    ):
        sides = chain.sides
        if chain.signs == ("=",) and isinstance(sides[1], Name) and not variables(sides[0]):
            return sides[0]
        return None
    if not variables(chain.sides[0]):
        return None
    value = chain.sides[-1]
    if value == Number(Fraction(0)) and any(part.function == "+" for part in applied(chain.sides[0])):
        return None  # x - y = 0 is a relation, x + y = 7 may be asked for
    return value if all(same(side, value) or comes_to(side, value) for side in chain.sides[1:-1]) else None


def _is_equal_to_itself(chain: Chain) -> bool:
    return len(set(chain.sides)) == 1 or any(isinstance(side, Row | Chain | Measure) for side in chain.sides)


def _same_relation(answer: Chain, reference: Chain) -> bool:
    if answer.signs == reference.signs and all(map(same, answer.sides, reference.sides)):
        return True
    values = _assigned(answer), _assigned(reference)
    if values[0] is not None and values[1] is not None and answer.sides[0] == reference.sides[0]:
        return same(values[0], values[1])
    if len(answer.signs) != 1 or len(reference.signs) != 1:
        turned = Chain(answer.sides[::-1], tuple(_FLIPPED.get(sign, sign) for sign in answer.signs[::-1]))
        return turned.signs == reference.signs and all(map(same, turned.sides, reference.sides))
    return _same_up_to_factor(answer, reference)


def _same_up_to_factor(answer: Chain, reference: Chain) -> bool:
    """Whether the differences of the sides have one constant ratio, positive where there is a direction."""
    sign, other = answer.signs[0], reference.signs[0]
    if sign not in ("=", "!=", *_FLIPPED) or other not in (sign, _FLIPPED.get(sign)):
        return False
    left, right = (Apply("+", (chain.sides[0], negative(chain.sides[1]))) for chain in (answer, reference))
    names = variables(left) | variables(right)
    if variables(left) != variables(right) or not names or not comparable(left, right, names):
        return False
    try:
        ratio = _constant_ratio(left, right, names)
    except Undefined:
        return False
    if ratio is None or sign not in _FLIPPED:
        return ratio is not None
    return bool(ratio > 0) == (sign == other)


def _constant_ratio(left: Tree, right: Tree, names: frozenset[str]) -> Value | None:
    """left / right where it is the same rational or rounded number at every point; None where it is not."""
    real, first, agreed = is_real(left, right), None, 0
    for point in points(names, f"{left}|{right}"):
        try:
            a, b = (compute(tree, point, 512, real) for tree in (left, right))
        except Undefined:
            continue
        if a == 0 or b == 0:
            if a == b:
                continue
            return None
        ratio = quotient(a, b)
        first = ratio if first is None else first
        if abs(ratio - first) > abs(first) / 2**400:
            return None
        agreed += 1
    return first if agreed >= 4 else None
