"""What an operand may be: a number, a name, a function of something, a fraction, what stands between
brackets, a matrix. `latex_reader.py` joins operands; the depth of both is bounded here.
"""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction

from tasks.verify.maths.expression import (
    DEEPEST,
    LARGEST_EXPONENT,
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
    negative,
)
from tasks.verify.maths.latex_tokens import Token

_CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "<(": ")>", "{": "}"}
_END = Token("end", "")
_FUNCTIONS = frozenset((*"fghpqu", "phi", "varphi", "sigma", "tau"))
_SHAPES = (Row, Matrix, Chain, Measure, Numeral)


class Operands:
    """A place in the tokens of a phrase, and the operand that starts there."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, _END, _END]  # the second for a look beyond the next
        self.place = 0
        self.depth = 0
        self.in_bars = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self, *texts: str) -> str:
        """The next sign, if it is one of these; "" and no step otherwise."""
        token = self.next
        if token.kind == "sign" and token.text in texts:
            self.place += 1
            return token.text
        return ""

    def need(self, text: str) -> None:
        if not self.take(text):
            raise Unreadable(f"no {text!a} where one belongs")

    def deeper(self) -> None:
        """One level down, into brackets or an exponent; the caller goes up again."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")

    @abstractmethod
    def items(self) -> list[Tree]:
        """Items between commas, as brackets hold them."""

    @abstractmethod
    def union(self) -> Tree:
        """One item without relations, as a matrix holds it."""

    @abstractmethod
    def sum(self) -> Tree:
        """A scalar."""

    @abstractmethod
    def factor(self) -> Tree:
        """An operand with its exponent."""

    @abstractmethod
    def implicit(self) -> bool:
        """Whether a factor follows without a sign between."""

    @abstractmethod
    def joined(self, left: Tree) -> Tree:
        """A product without a sign."""

    def exponent(self) -> Tree:
        """A group, or one sign with its own powers: 2^3^2 is 2^9; -1 in x^-1."""
        self.deeper()
        value = negative(self.primary()) if self.take("-") else self.primary()
        if self.next.text == "^":
            self.place += 1
            value = apply("^", value, self.exponent())
        self.depth -= 1
        return value

    def subscript(self) -> str:
        """The label of a name: x_1, x_{n+1}, S_{ABCD}, x_{\\text{max}}."""
        if self.tokens[self.place + 1].kind == "word":
            self.take("{")
        if self.next.kind != "word":
            return label(self.argument())
        word = self.next.text
        self.place += 1
        self.take("}")
        return word

    def based(self, value: Tree) -> Tree:
        """(1011)_2, whose digits were read as a number."""
        self.place += 1
        base = self.argument()
        if isinstance(value, Number) and isinstance(base, Number) and value.value.denominator == 1:
            return Numeral(str(value.value), int(base.value))
        raise Unreadable("a subscript")

    def primary(self) -> Tree:
        """One operand, without what may follow it."""
        self.deeper()
        value = self.operand()
        self.depth -= 1
        return value

    def operand(self) -> Tree:
        token = self.next
        self.place += 1
        match token.kind:
            case "number":
                return _number(token.text)
            case "repeating":
                return _repeating(token.text)
            case "accent":
                return Name(f"{token.text}({label(self.argument())})")
            case "numeral":
                digits, _, base = token.text.partition("_")
                return Numeral(digits.lstrip("0") or "0", int(base))
            case "name":
                return Name(token.text + self.argument_written(token.text))
            case "function":
                return self.function(token.text)
            case "block" if token.text.startswith("begin"):
                return self.matrix(token.text.removeprefix("begin "))
            case "sign":
                return self.opened(token.text)
        raise Unreadable(ascii(token.text)[:40] if token.text else "the end, where a value belongs")

    def argument_written(self, name: str) -> str:
        """The "(0)" of f(0) and y(0), which are no products; x(3) and f(x) may be."""
        ahead = self.tokens[self.place : self.place + 4]
        sign = "-" if len(ahead) == 4 and (ahead[1].kind, ahead[1].text) == ("sign", "-") else ""
        opening, content, closing = (*ahead[:1], *ahead[1 + len(sign) :], _END, _END)[:3]
        if opening.spaced or (opening.text, content.kind, closing.text) != ("(", "number", ")"):
            return ""
        if content.text != "0" and not (name.isupper() or name in _FUNCTIONS):
            return ""
        self.place += 3 + len(sign)
        return f"({sign}{content.text})"

    def opened(self, sign: str) -> Tree:
        """What a bracket, a bar, a fraction or a binomial opens."""
        if sign in _CLOSING:
            return self.brackets(sign)
        if sign == "frac":
            return apply("/", self.argument(), self.argument())
        if sign == "binom":
            return apply("binom", self.argument(), self.argument())
        if sign in ("floor(", "ceil("):
            inner = self.sum()
            self.need(")" + sign[:-1])
            return apply(sign[:-1], inner)
        if sign == "|":
            self.in_bars += 1
            inner = self.sum()
            self.in_bars -= 1
            self.need("|")
            return apply("abs", inner)
        if sign == "{}":
            return Row("\\{", (), "\\}")
        raise Unreadable(f"{sign!a} where a value belongs")

    def brackets(self, opening: str) -> Tree:
        bars, self.in_bars = self.in_bars, 0
        if self.take(_CLOSING[opening]):
            if opening != "\\{":
                raise Unreadable("empty brackets")
            items: list[Tree] = []
            closing = "\\}"
        else:
            items = self.items()
            closing = self.take(*(")", "]") if opening in "([" else (_CLOSING[opening],))
        if not closing:
            raise Unreadable(f"{opening!a} that nothing closes")
        self.in_bars = bars
        if len(items) == 1 and closing == _CLOSING[opening] and opening != "\\{":
            return items[0]
        return Row("\\{" if opening == "{" else opening, tuple(items), "\\}" if closing == "}" else closing)

    def argument(self) -> Tree:
        """A group in braces or, as LaTeX reads it, a single sign: \\frac12 is 1/2."""
        token = self.next
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.place] = Token("number", token.text[1:])
            return _number(token.text[0])
        return self.primary()

    def function(self, name: str) -> Tree:
        if name == "sqrt":
            degree: Tree = Number(Fraction(2))
            if self.next.text == "[":
                self.place += 1
                degree = self.sum()
                self.need("]")
            return apply("root", self.primary(), degree)
        base: Tree | None = None
        power: Tree | None = None
        if name == "log" and self.next.text == "_":
            self.place += 1
            base = self.argument()
        if self.next.text == "^":
            self.place += 1
            power = self.exponent()
        if power == Number(Fraction(-1)) and name in ("sin", "cos", "tan"):
            name, power = f"arc{name}", None
        argument = self.argument_of(name)
        value = apply(name, argument, base) if base else apply(name, argument)
        return apply("^", value, power) if power else value

    def argument_of(self, name: str) -> Tree:
        """What a function is of: brackets, or the factors up to the next sign or function (sin 2x)."""
        if self.next.text in ("(", "{", "["):
            inner = self.primary()
            if name in ("max", "min") and isinstance(inner, Row):
                raise Unreadable(name)
            return inner
        value = self.factor()
        while self.implicit() and self.next.kind != "function" and self.next.text not in ("(", "["):
            value = self.joined(value)
        return value

    def matrix(self, kind: str) -> Tree:
        if kind not in ("pmatrix", "bmatrix", "matrix", "array", "smallmatrix"):
            raise Unreadable(ascii(kind))
        rows: list[list[Tree]] = [[]]
        while self.next.kind != "block":
            rows[-1].append(self.union())
            if self.take("\\\\"):
                rows.append([])
            elif not self.take("&") and self.next.kind != "block":
                raise Unreadable("a matrix")
        self.place += 1
        rows = [row for row in rows if row]
        if not rows or len({len(row) for row in rows}) > 1:
            raise Unreadable("rows of different lengths")
        return Matrix(tuple(map(tuple, rows)))


def label(tree: Tree) -> str:
    """A subscript as part of a name."""
    match tree:
        case Number(value=value):
            return str(value)
        case Name(text=text):
            return text
        case Apply(function=function, arguments=parts) if len(parts) < 9:
            return f"{function}({','.join(map(label, parts))})"
    raise Unreadable("a subscript")


def apply(function: str, *arguments: Tree) -> Tree:
    """An operation on scalars; points, sets and measures take none (an angle inside sin does)."""
    flat: list[Tree] = []
    for argument in arguments:
        if isinstance(argument, Measure) and argument.unit == "degree":
            argument = Apply("degrees", (argument.amount,))
        if isinstance(argument, _SHAPES) or argument == Name("reals"):
            raise Unreadable("arithmetic on what is no number")
        if function == "*" and isinstance(argument, Apply) and argument.function == "*":
            flat += argument.arguments
        else:
            flat.append(argument)
    return Apply(function, tuple(flat))


def _number(text: str) -> Tree:
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) > LARGEST_EXPONENT:
        raise Unreadable("a number beyond 1e300")
    places = len(mantissa.partition(".")[2])
    value = Fraction(mantissa.rstrip(".") if not mantissa.startswith(".") else "0" + mantissa)
    return Number(value * Fraction(10) ** int(exponent or 0), places if not exponent else 0)


def _repeating(text: str) -> Tree:
    """0.1\\overline{6}: the fixed decimals and 6/9 of the last one, 1/6 exactly."""
    fixed, _, repeated = text.partition("\\")
    whole, _, decimals = fixed.strip().partition(".")
    repeated = repeated[repeated.index("{") + 1 : -1]
    value = Fraction(int(repeated), 10 ** len(repeated) - 1) / 10 ** len(decimals)
    return Number(value + Fraction(int(whole + decimals or 0), 10 ** len(decimals)))
