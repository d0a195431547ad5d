"""Reads the calculator annotations `<<lhs=rhs>>` of a GSM8K solution and says which of them hold.

Covered: numbers (thousands, decimals, 1e3, currency signs, percent), + - * / // x × ÷, powers, parentheses,
chains a=b=c. The text is read by a bounded parser written here, on exact rationals; nothing is ever
handed to an evaluator. Not covered, and so not holding: names, units, times of day, implicit products.
"""

from __future__ import annotations

import re

from tasks.verify.maths.glyphs import fold, storable

# Bounds on hostile input. The longest annotation of GSM8K has 79 characters.
LONGEST = 400  # characters of one annotation that is evaluated
MOST_BITS = 4096  # of a power's numerator or denominator

# The paper's tolerance, 1e-3, absolute; all 27,998 annotations of GSM8K hold within it. Beyond it only
# the rounding of the 64-bit floats that calculators print (a share of 2**-50) is forgiven.
PER_TOLERANCE = 1000
_FLOAT_BITS = 50

Rational = tuple[int, int]  # numerator and positive denominator, not reduced

# An annotation may hold a single < or > but no other annotation's brackets: the innermost pair counts.
_ANNOTATION = re.compile(r"<<([^<>]*+(?:[<>](?![<>])[^<>]*+)*+)>>")
_LITERAL = r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"
_PLAIN = re.compile(rf"{_LITERAL}([-+*/]){_LITERAL}={_LITERAL}")
_CANONICAL = re.compile(r"[-+*/().=0-9]*")
_TIMES = re.compile(r"(?<=[0-9.)%])[xX](?=[0-9.(+-])")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_CURRENCY = re.compile(r"[$€£¥₹]")
_SYMBOL = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?|//|[-+*/^()%]")

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "negative": 3, "^": 4}


class Unreadable(ValueError):
    """The text is not arithmetic that the bounded parser takes."""


def read_equations(text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Every annotation in order: its canonical text, and 1.0 where it holds or 0.0 where it does not."""
    equations = []
    steps = []
    for content in _ANNOTATION.findall(text):
        plain = _PLAIN.fullmatch(content)
        if plain:  # nine in ten of GSM8K's annotations
            equations.append(content)
            steps.append(_plain_step(*plain.groups()))
        else:
            equation = canonical(content)
            equations.append(equation)
            steps.append(1.0 if holds(equation) else 0.0)
    return tuple(equations), tuple(steps)


def equations(text: str) -> tuple[str, ...]:
    """The reasoning path of a text: its annotations in order, canonical, as the distinct filter needs."""
    return read_equations(text)[0]


def canonical(content: str) -> str:
    """An annotation without spaces, currency signs and thousands commas, its operators in ASCII."""
    if _CANONICAL.fullmatch(content) and "**" not in content:
        return content
    equation = "".join(content.split())
    if len(equation) > LONGEST:
        return storable(equation)
    equation = _CURRENCY.sub("", fold(equation, "({})")).replace("**", "^")
    return storable(_THOUSANDS.sub("", _TIMES.sub("*", equation)))


def holds(equation: str) -> bool:
    """Whether all sides of a canonical equation are arithmetic and agree within the tolerance."""
    if len(equation) > LONGEST or "=" not in equation:
        return False
    try:
        sides = [evaluate(side) for side in equation.split("=")]
    except (Unreadable, ZeroDivisionError):
        return False
    return all(map(_agree, sides, sides[1:]))


def _agree(left: Rational, right: Rational) -> bool:
    gap = abs(left[0] * right[1] - right[0] * left[1])
    if gap * PER_TOLERANCE <= left[1] * right[1]:
        return True
    return gap << _FLOAT_BITS <= abs(right[0]) * left[1]


def _plain_step(left: str, operator: str, right: str, result: str) -> float:
    """The same as `holds` for the shape a+b=c, without symbols and stacks."""
    divisor = number(right)
    if operator == "/" and divisor[0] == 0:
        return 0.0
    return 1.0 if _agree(_apply(operator, number(left), divisor), number(result)) else 0.0


def evaluate(expression: str) -> Rational:
    """The exact value of an arithmetic text, by operator precedence with two explicit stacks.

    Powers bind to the right and before a sign (-2^2 = -4); 5% is 5/100. Raises Unreadable or
    ZeroDivisionError. Callers bound the length; the depth then needs no bound, nothing recurses.
    """
    if expression.isdigit() and expression.isascii():
        return int(expression), 1
    symbols = _SYMBOL.findall(expression)
    if not symbols or "".join(symbols) != expression:
        raise Unreadable(expression)
    values: list[Rational] = []
    operators: list[str] = []
    operand_next = True
    for symbol in symbols:
        operand_next = _shift(symbol, operand_next, values, operators)
    if operand_next:
        raise Unreadable(expression)
    while operators:
        _reduce(values, operators)
    return values[0]


def _shift(symbol: str, operand_next: bool, values: list[Rational], operators: list[str]) -> bool:
    """Takes one symbol onto the stacks; says whether an operand must come next."""
    if symbol[0] in ".0123456789":
        if not operand_next:
            raise Unreadable(symbol)
        values.append(number(symbol))
    elif operand_next:
        if symbol not in "+-(":
            raise Unreadable(symbol)
        if symbol != "+":
            operators.append("negative" if symbol == "-" else "(")
        return True
    elif symbol == "%":
        values[-1] = (values[-1][0], values[-1][1] * 100)
    elif symbol == ")":
        _close(values, operators)
    elif symbol == "(":
        raise Unreadable(symbol)
    else:
        rank = _PRECEDENCE[symbol] + (symbol == "^")  # a power waits for the power to its right
        while operators and _PRECEDENCE.get(operators[-1], 0) >= rank:
            _reduce(values, operators)
        operators.append(symbol)
        return True
    return False


def _close(values: list[Rational], operators: list[str]) -> None:
    while operators and operators[-1] != "(":
        _reduce(values, operators)
    if not operators:
        raise Unreadable(")")
    operators.pop()


def _reduce(values: list[Rational], operators: list[str]) -> None:
    """Applies the topmost operator to the topmost values."""
    operator = operators.pop()
    if operator == "(":
        raise Unreadable(operator)
    right = values.pop()
    if operator == "negative":
        values.append((-right[0], right[1]))
    else:
        values.append(_apply(operator, values.pop(), right))


def _apply(operator: str, left: Rational, right: Rational) -> Rational:
    (m, e), (n, d) = left, right
    if operator == "*":
        return m * n, e * d
    if operator == "/":
        return _divide(left, right)
    if operator == "//":  # two of GSM8K's references divide so; it rounds down
        return m * d // (e * n), 1
    if operator == "^":
        return _power(left, right)
    if operator == "-":
        n = -n
    return (m + n, d) if d == e else (m * d + n * e, d * e)


def _divide(left: Rational, right: Rational) -> Rational:
    if right[0] == 0:
        raise ZeroDivisionError
    sign = 1 if right[0] > 0 else -1
    return sign * left[0] * right[1], sign * left[1] * right[0]


def _power(base: Rational, exponent: Rational) -> Rational:
    power, rest = divmod(exponent[0], exponent[1])
    if rest or max(abs(base[0]), base[1]).bit_length() * abs(power) > MOST_BITS:
        raise Unreadable("^")
    if power < 0:
        base, power = _divide((1, 1), base), -power
    return base[0] ** power, base[1] ** power


def number(literal: str) -> Rational:
    """The exact value of an unsigned ASCII literal (12, 3., .5, 1e3) of bounded length."""
    if literal.isdigit():
        return int(literal), 1
    whole, point, decimals = literal.partition(".")
    if point and decimals.isdigit():
        return int(whole + decimals), 10 ** len(decimals)
    mantissa, _, exponent = literal.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    shift = int(exponent or 0) - len(decimals)
    digits = int(whole + decimals)
    return (digits * 10**shift, 1) if shift >= 0 else (digits, 10**-shift)
