"""Computes what a tree comes to: exactly on rationals while it can, else to a stated number of bits.

Every step is bounded (bits of an exact number, size of an exponent, argument of a factorial) and the number
of steps is the size of the tree, so no answer can take long; there is no clock, and a verdict never depends
on the machine's speed. Not covered: functions of whole numbers only, beyond factorials and binomials.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, factorial, isqrt
from typing import Any

import mpmath

from tasks.verify.maths.expression import Apply, Name, Number, Tree

MOST_BITS = 16_384  # of an exact numerator or denominator; beyond it, rounded
LARGEST_POWER = 2**20  # bits of magnitude of a rounded power or exponential
LARGEST_ARGUMENT = 2**64  # of a rounded sine; reducing a huge argument costs its bits
LARGEST_FACTORIAL = 1_000
ODD_ROOTS = range(1, 100, 2)  # as written; a variable exponent's value at a point is none of them

Value = Any  # Fraction, mpf or mpc: mpmath ships no types
_own = threading.local()  # mpmath's shared context keeps its precision in a global

# mpmath keeps each constant at the most bits asked for so far, in two steps that threads could come between.
_first = mpmath.MPContext()
_first.prec = 8192
_CONSTANTS = (+_first.pi, +_first.e, +_first.ln2, +_first.ln10)


class Undefined(ArithmeticError):
    """The tree has no value here: a division by zero, a name without a value, something out of bounds."""


def compute(tree: Tree, names: Mapping[str, Fraction], bits: int, real: bool) -> Value:
    """The value of a scalar tree where the names have the given values.

    `real`: within the real numbers, where the root of a negative number is Undefined.
    """
    context = getattr(_own, "context", None)
    if context is None:
        context = _own.context = mpmath.MPContext()
    context.prec = bits
    try:
        return _Evaluation(context, names, real).value(tree)
    except (ZeroDivisionError, OverflowError, ValueError, mpmath.libmp.ComplexResult) as error:
        raise Undefined(str(error)) from None


class _Evaluation:
    def __init__(self, context: Any, names: Mapping[str, Fraction], real: bool) -> None:
        self.context, self.names, self.real = context, names, real

    def value(self, tree: Tree) -> Value:
        match tree:
            case Number(value=value):
                return self.in_bounds(value)
            case Name(text=text):
                return self.value_of_name(text)
            case Apply(function=function, arguments=arguments):
                return self.in_bounds(self.apply(function, [self.value(each) for each in arguments]))
        raise Undefined("no number")

    def value_of_name(self, text: str) -> Value:
        if text == "pi":
            return +self.context.pi
        if text == "e":
            return +self.context.e
        if text == "i":
            if self.real:
                raise Undefined("i among the reals")
            return self.context.mpc(0, 1)
        if text not in self.names:
            raise Undefined(text)
        return self.names[text]

    def in_bounds(self, value: Value) -> Value:
        """The value, rounded once it is too long to stay exact; real where it has no imaginary part."""
        if isinstance(value, Fraction):
            if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
                return self.rounded(value)
            return value
        if isinstance(value, self.context.mpc):
            if self.real:
                raise Undefined("not real")
            value = value.real if value.imag == 0 else value
        if not self.context.isfinite(value):
            raise Undefined("not finite")
        return value

    def rounded(self, value: Value) -> Value:
        if isinstance(value, Fraction):
            return self.context.mpf(value.numerator) / value.denominator
        return value

    def apply(self, function: str, values: list[Value]) -> Value:
        exact = all(isinstance(value, Fraction) for value in values)
        if function in ("+", "*", "/"):
            return _chain(function, values if exact else [self.rounded(value) for value in values])
        if function == "negative":
            return -values[0]
        if function == "^":
            return self.power(*values)
        if function == "root":
            return self.power(values[0], 1 / values[1])
        if function in _WHOLE:
            return Fraction(_WHOLE[function](*map(_natural, values)))
        if function == "abs":
            return abs(values[0])
        if function in ("floor", "ceil"):
            return self.whole(function, values[0])
        return self.transcendental(function, [self.rounded(value) for value in values])

    def whole(self, function: str, value: Value) -> Value:
        if isinstance(value, Fraction):
            return Fraction(value.__floor__() if function == "floor" else value.__ceil__())
        self.bounded(value, LARGEST_ARGUMENT)
        return Fraction(int(getattr(self.context, function)(value)))

    def power(self, base: Value, exponent: Value) -> Value:
        if isinstance(exponent, Fraction) and isinstance(base, Fraction):
            exact = _exact_power(base, exponent)
            if exact is not None:
                return exact
        if base == 0:
            if isinstance(exponent, Fraction) and exponent > 0:
                return Fraction(0)
            raise Undefined("a power of zero")
        sign = 1
        if _is_negative(base) and isinstance(exponent, Fraction) and exponent.denominator in ODD_ROOTS:
            sign = -1 if exponent.numerator % 2 else 1  # the real odd root, as in the cube root of -8
            base = -base
        elif self.real and _is_negative(base):
            raise Undefined("a root of a negative number")
        base, exponent = self.rounded(base), self.rounded(exponent)
        logarithm = self.context.log(base) * exponent
        self.bounded(logarithm, LARGEST_POWER)
        return sign * self.context.exp(logarithm)

    def transcendental(self, function: str, values: list[Value]) -> Value:
        first, context = values[0], self.context
        if function == "degrees":
            return first * context.pi / 180
        if function in ("ln", "log"):
            if self.real and first <= 0:
                raise Undefined("a logarithm of what is not positive")
            below = context.log(values[1]) if len(values) > 1 else context.log(10)
            return context.log(first) if function == "ln" else context.log(first) / below
        if function == "cis":
            self.bounded(first, LARGEST_ARGUMENT)
            return context.mpc(context.cos(first), context.sin(first))
        grows = function in ("exp", "sinh", "cosh", "tanh")
        self.bounded(first, LARGEST_POWER if grows else LARGEST_ARGUMENT)
        name = _SPELLED.get(function, function)
        if name not in _FUNCTIONS:
            raise Undefined(function)
        return getattr(context, name)(first)

    def bounded(self, value: Value, largest: int) -> None:
        if abs(value) > largest:
            raise Undefined("out of bounds")


_WHOLE: dict[str, Callable[..., int]] = {"factorial": factorial, "binom": comb}
_SPELLED = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot"}
_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "sinh", "cosh", "tanh", "exp")
)


def _chain(function: str, values: list[Value]) -> Value:
    value = values[0]
    for other in values[1:]:
        if function == "+":
            value = value + other
        elif function == "*":
            value = value * other
        else:
            value = value / other
    return value


def _natural(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= LARGEST_FACTORIAL:
        raise Undefined("a factorial of what is no small whole number")
    return value.numerator


def _is_negative(value: Value) -> bool:
    return bool(getattr(value, "imag", 0) == 0 and value.real < 0)


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """The power where it is rational and short enough; None where it has to be rounded."""
    if exponent.denominator == 2 and base >= 0:
        roots = isqrt(base.numerator), isqrt(base.denominator)
        if roots[0] ** 2 != base.numerator or roots[1] ** 2 != base.denominator:
            return None
        base, exponent = Fraction(*roots), exponent * 2
    if exponent.denominator != 1:
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent.numerator) > MOST_BITS and abs(base) != 1 and base != 0:
        return None
    if base == 0 and exponent <= 0:
        raise Undefined("zero to a power that is not positive")
    return base**exponent.numerator
