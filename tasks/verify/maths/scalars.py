"""Whether two scalar trees are equal: exactly where both are rational, otherwise by computing both twice, to
256 and to 512 bits, at one point (constants) or several (variables).

Two equal values differ by rounding only, so their difference falls with the precision; two different ones
keep theirs, however small beside 1 it is (2^-99 and 2^-98). With variables the points are rational, drawn
from several ranges, and count where both sides are defined and real; one point that differs decides.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from tasks.verify.maths.expression import Apply, Name, Number, Tree, rational, undone, variables, walk
from tasks.verify.maths.values import Undefined, Value, compute

LOW_BITS, HIGH_BITS = 256, 512
MOST_SIZE = 300  # parts of a tree with variables that is compared
MOST_VARIABLES = 12
ENOUGH = 9  # points at which both sides are defined
FEWEST = 4

LEAST_PLACES = 3  # decimals below which a number is no rounding of another
FLOAT_BITS = 40
SIGNIFICANT_REFERENCE = 3  # the same of a reference, which is believed to be rounded rightly
SIGNIFICANT = 6  # digits from which a decimal may stand for an irrational number

# (points, from, to): positive, negative, of both signs, within (0, 1), large, very negative.
_RANGES = (
    *((3, "0.2", "3"), (3, "-3", "-0.2"), (3, "-3", "3")),
    *((6, "0.02", "0.98"), (6, "5", "60"), (6, "-60", "-5")),
)
MOST_REACH = 10**6


def same_scalar(answer: Tree, reference: Tree) -> bool:
    """Whether an answer is the reference's scalar; arithmetic that the reference has done must be done."""
    if answer == reference:
        return True
    names = variables(reference)
    if variables(answer) != names:
        return False  # 0x is not 0: what cancels must be cancelled
    if names:
        return same_function(answer, reference, names)
    if undone(answer) and not undone(reference):
        return False
    rounded = _rounded(answer), _rounded(reference)
    try:
        if any(rounded):
            return _same_decimal(answer, reference)
        return same_at(answer, reference, {}, real=False)
    except Undefined:
        return False


def same_function(left: Tree, right: Tree, names: frozenset[str]) -> bool:
    """Whether two expressions agree wherever both are real, at points enough to tell."""
    if not comparable(left, right, names):
        return False
    agreed, real = 0, is_real(left, right)
    values: set[Value] = set()
    for point in points(names, f"{left}|{right}", _reach(left, right)):
        try:
            if not same_at(left, right, point, real):
                return False
            value = compute(left, point, LOW_BITS, real)
        except Undefined:
            continue
        if value == 0:
            continue  # two that are nothing here need not be the same elsewhere
        values.add(value)
        agreed += 1
        if agreed >= ENOUGH and len(values) > 1:
            return True
    return agreed >= FEWEST


def is_real(*trees: Tree) -> bool:
    """Whether no tree names the imaginary unit."""
    return not any(
        part == Name("i") or (isinstance(part, Apply) and part.function == "cis")
        for tree in trees
        for part in walk(tree)
    )


def comparable(left: Tree, right: Tree, names: frozenset[str]) -> bool:
    """Whether two trees are within the bounds of a comparison at points."""
    size = max(sum(1 for _ in walk(tree)) for tree in (left, right))
    return size <= MOST_SIZE and len(names) <= MOST_VARIABLES


def same_at(left: Tree, right: Tree, point: dict[str, Fraction], real: bool) -> bool:
    """Whether two trees have the same value at one point; raises Undefined where one has none."""
    a, b = compute(left, point, LOW_BITS, real), compute(right, point, LOW_BITS, real)
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    coarse, _ = _gap(a, b)
    a, b = compute(left, point, HIGH_BITS, real), compute(right, point, HIGH_BITS, real)
    fine, size = _gap(a, b)
    if fine <= size / 2 ** (HIGH_BITS - 100):
        return True
    return bool(fine <= max(coarse, size / 2**LOW_BITS) / 2 ** (HIGH_BITS - LOW_BITS - 56))


def quotient(a: Value, b: Value) -> Value:
    """a / b, exact where both are."""
    if isinstance(a, Fraction) and not isinstance(b, Fraction):
        return b.context.mpf(a.numerator) / a.denominator / b
    if isinstance(b, Fraction) and not isinstance(a, Fraction):
        return a / (a.context.mpf(b.numerator) / b.denominator)
    return a / b


def _gap(a: Value, b: Value) -> tuple[Value, Value]:
    """The distance of two values and the size of the larger one."""
    if isinstance(a, Fraction):
        a = b.context.mpf(a.numerator) / a.denominator
    if isinstance(b, Fraction):
        b = a.context.mpf(b.numerator) / b.denominator
    return abs(a - b), max(abs(a), abs(b))


def _reach(*trees: Tree) -> int:
    """The largest whole part of a number in the trees, up to a bound: where they may change is within it."""
    numbers = [abs(part.value) for tree in trees for part in walk(tree) if isinstance(part, Number)]
    return min(max((int(number) for number in numbers), default=0), MOST_REACH)


def points(names: frozenset[str], seed: str, reach: int = 0) -> Iterator[dict[str, Fraction]]:
    """Points to compare at, the same for the same answers; none that an answer could be made for.

    Their ranges go beyond `reach`, the largest number that is written. Whole numbers come last, for what
    is defined at them alone; each name has its own, in no order.
    """
    draw = random.Random(seed)  # noqa: S311
    wide = (
        [("0", str(reach)), (str(reach), str(3 * reach)), (str(-3 * reach), str(-reach))] if reach > 3 else []
    )
    for count, low, high in (*((2, *ends) for ends in wide), *_RANGES, *((6, *ends) for ends in wide)):
        start, span = Fraction(low), Fraction(high) - Fraction(low)
        for _ in range(count):
            yield {name: start + span * draw.randrange(1, 9973) / 9973 for name in sorted(names)}
    for most in (*[6] * 30, *[12] * 20, *[reach + 8] * 10):
        yield {name: Fraction(draw.randrange(0, most + 1)) for name in sorted(names)}


def _rounded(tree: Tree) -> bool:
    number = rational(tree)
    return bool(number and number.places)


def _same_decimal(answer: Tree, reference: Tree) -> bool:
    """A decimal against a rational: rounded, three decimals; against an irrational: rounded, six digits."""
    left, right = compute(answer, {}, LOW_BITS, False), compute(reference, {}, LOW_BITS, False)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        if _rounded(reference) and not _rounded(answer) and rounds_to(left, right):
            return True
        return near(left, right, (_rounded(answer), _rounded(reference)))
    decimal = rational(answer) if _rounded(answer) else rational(reference)
    assert isinstance(decimal, Number)
    digits = len(str(abs(decimal.value.numerator) * 10**decimal.places // decimal.value.denominator))
    if digits < (SIGNIFICANT if _rounded(answer) else SIGNIFICANT_REFERENCE):
        return False
    return bool(_gap(left, right)[0] * 2 * 10**decimal.places <= 1)


def rounds_to(exact: Fraction, decimal: Fraction) -> bool:
    """Whether a fraction without a decimal end is, rounded, the decimal of a reference: 100/3 and 33.3.

    One digit says too little: 0.3 is no third.
    """
    places = _places(decimal)
    if places == 0 or abs(decimal) * 10**places < 10 or not _is_endless(exact):
        return False
    return bool(abs(exact - decimal) * 2 * 10**places <= 1)


def _is_endless(value: Fraction) -> bool:
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest > 1


def near(left: Fraction, right: Fraction, decimals: tuple[bool, bool]) -> bool:
    """Whether two rationals are equal, or one of those written as `decimals` is the other, rounded.

    A rounding has at least LEAST_PLACES decimals, and as many digits, and is off by half its last one at
    most, so that 0.333 is 1/3 and 0.501 is not 1/2. A share of 2**-40 is what a float may be off by, but
    never more than half the last of LEAST_PLACES decimals: 10**13 + 1 is not 10**13, however it is written.
    """
    gap = abs(left - right)
    if gap == 0 or not any(decimals):
        return gap == 0
    rounded_values = [value for value, decimal in zip((left, right), decimals, strict=True) if decimal]
    places = [_places(value) for value in rounded_values]
    for value, p in zip(rounded_values, places, strict=True):
        enough = p >= LEAST_PLACES and abs(value) * 10**p >= 10 ** (LEAST_PLACES - 1)
        if enough and bool(gap * 2 * 10**p <= 1):
            return True
    as_float = gap * 2**FLOAT_BITS <= max(abs(left), abs(right))
    return bool(as_float and gap * 2 * 10**LEAST_PLACES <= 1)


def _places(value: Fraction) -> int:
    """Decimals that a terminating fraction needs."""
    places, rest = 0, value.denominator
    for factor in (2, 5):
        count = 0
        while rest % factor == 0:
            rest //= factor
            count += 1
        places = max(places, count)
    return places
