"""The shapes of an answer: a small frozen tree that says what was written, and the bounds it keeps.

Trees are built by `latex_reader.py` alone and only ever compared or computed with; nothing in them is code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

LONGEST = 600  # characters of a marked phrase that is read as an expression
MOST_TOKENS = 400
DEEPEST = 30  # brackets, roots and exponents inside each other
TALLEST = 100  # levels of a tree: 1/2/3/... has one a sign
LARGEST_EXPONENT = 300  # of 1e300, as for plain numbers

# Names with one fixed value; every other name is a variable.
CONSTANTS = frozenset(("pi", "e", "i"))
INFINITY = "infinity"


class Unreadable(ValueError):
    """The text is no answer in the grammar; the message is one short printable reason."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: its exact value and how many decimals were written (0: none, it is exact)."""

    value: Fraction
    places: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """A variable (x, x_1), one of CONSTANTS, or INFINITY."""

    text: str


@dataclass(frozen=True, slots=True)
class Apply:
    """A function or an operation (+ * / ^ negative pm root log sin ...) on its arguments."""

    function: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Items between brackets: a point, an interval, a set, a list (no brackets), a ratio (":" for both)."""

    opening: str
    items: tuple[Tree, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of a matrix, of equal length."""

    rows: tuple[tuple[Tree, ...], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Sides joined by relations: y = 2x, 1 < x <= 5, x in [0, 1]. One sign fewer than sides."""

    sides: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Numeral:
    """Digits in a base other than the ordinary one: 1011_2."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Measure:
    """An amount with a unit: one of `units.py`'s names, "%", or "" where there is none; and the other words
    after it, as `words.py` has nouns.
    """

    amount: Tree
    unit: str
    noun: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, folded: tuesday."""

    text: str


Tree: TypeAlias = Number | Name | Apply | Row | Matrix | Chain | Numeral | Measure | Words


def children(tree: Tree) -> tuple[Tree, ...]:
    """The parts a tree is made of, from left to right."""
    match tree:
        case Apply(arguments=parts) | Row(items=parts) | Chain(sides=parts):
            return parts
        case Matrix(rows=rows):
            return tuple(part for row in rows for part in row)
        case Measure(amount=amount):
            return (amount,)
    return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """The tree and everything in it."""
    yield tree
    for part in children(tree):
        yield from walk(part)


def is_tall(tree: Tree) -> bool:
    """Whether a tree has more levels than may be walked down by recursion."""
    level, depth = [tree], 0
    while level and depth <= TALLEST:
        level, depth = [part for above in level for part in children(above)], depth + 1
    return bool(level)


def variables(tree: Tree) -> frozenset[str]:
    """The names in a tree that stand for something unknown."""
    return frozenset(
        part.text
        for part in walk(tree)
        if isinstance(part, Name) and part.text not in CONSTANTS and part.text != INFINITY
    )


def negative(tree: Tree) -> Tree:
    """The tree with its sign turned; a number stays a number."""
    if isinstance(tree, Number):
        return Number(-tree.value, tree.places)
    return Apply("negative", (tree,))


def rational(tree: Tree) -> Number | None:
    """What a tree written as one number states (12, -0.5, 3/4, a mixed number); None for anything else."""
    match tree:
        case Number():
            return tree
        case Apply("negative", (inner,)):
            number = rational(inner)
            return Number(-number.value, number.places) if number else None
        case Apply("/", (Number() as above, Number() as below)) if below.value:
            return Number(above.value / below.value, 0)
    return None


def undone(tree: Tree) -> bool:
    """Whether arithmetic on plain numbers was left to do: 3*4, 12-5, 1/2+1/3; not 1.2*10^3, 2^10 or 3/4."""
    for part in walk(tree):
        if not isinstance(part, Apply) or part.function not in ("+", "*", "/"):
            continue
        if part.function == "*" and _is_power_of_ten(part.arguments[-1]):
            continue
        plain = [argument for argument in part.arguments if _plain(argument)]
        if len(plain) > 1 and not (part.function == "/" and all(isinstance(each, Number) for each in plain)):
            return True
    return False


_DONE_LAST = frozenset(("^", "*", "/", "negative", "factorial", "binom"))


def _plain(tree: Tree) -> bool:
    if rational(tree) is not None:
        return True
    return isinstance(tree, Apply) and tree.function in _DONE_LAST and all(map(_plain, tree.arguments))


def _is_power_of_ten(tree: Tree) -> bool:
    return isinstance(tree, Apply) and tree.function == "^" and tree.arguments[0] == Number(Fraction(10))
