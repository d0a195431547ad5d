"""What one relation says by itself: which side is the value, what its unknown is, what is only a name."""

from __future__ import annotations

from fractions import Fraction

from tasks.verify.maths.expression import Apply, Chain, Measure, Name, Number, Numeral, Tree, variables, walk
from tasks.verify.maths.scalars import same_at
from tasks.verify.maths.values import Undefined

_LABELS = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "exp", "abs", "floor", "ceil"))


def is_a_share_twice(chain: Chain) -> bool:
    """Whether a relation says one share as a number and in percent: 0.5 = 50%."""
    if chain.signs != ("=",):
        return False
    shares = [side.amount for side in chain.sides if isinstance(side, Measure) and side.unit == "%"]
    numbers = [side for side in chain.sides if not isinstance(side, Measure)]
    if len(shares) != 1 or len(numbers) != 1 or variables(chain):
        return False
    return comes_to(Apply("*", (Number(Fraction(100)), numbers[0])), shares[0])


def is_solved(chain: Chain) -> bool:
    """Whether a relation says what one unknown is: x = 5, 5 > x; an answer to it must say so too."""
    names = [side for side in chain.sides if isinstance(side, Name) and variables(side)]
    return len(chain.sides) == 2 and len(names) == 1 and len(variables(chain)) == 1


def subject(tree: Tree) -> str | None:
    """The one variable that an inequality is about."""
    names = variables(tree) if isinstance(tree, Chain) else frozenset()
    return next(iter(names)) if len(names) == 1 else None


def comes_to(left: Tree, right: Tree) -> bool:
    """Whether a left side without unknowns comes to the value beside it: \\sqrt{16} = 4."""
    try:
        return same_at(left, right, {}, real=False)
    except Undefined:
        return False


def is_label(tree: Tree) -> bool:
    """A left side that is a function of what is unknown: \\cos^2 x, |z|, f^{-1}(x); no polynomial is."""
    match tree:
        case Apply("^", (Apply(function), Number())) | Apply(function) if function in _LABELS:
            return True
        case Apply("*", (Apply("^", (Name(text), Number())), Name())):
            return text in "fghFGH"
        case Apply("^", (Name("sigma" | "chi"), Number())):
            return True
    return False


def is_power(tree: Tree) -> bool:
    """A name to a power: A^{-1}."""
    match tree:
        case Apply("^", (Name(), Number())):
            return True
    return False


def applied(tree: Tree) -> list[Apply]:
    """Every operation in a tree."""
    return [part for part in walk(tree) if isinstance(part, Apply)]


def has_number(tree: Tree) -> bool:
    """Whether a number stands anywhere in a tree."""
    return any(isinstance(part, (Number, Numeral)) for part in walk(tree))
