"""Reads tokens into a tree, by recursive descent: relations, unions, sums, products, powers, then what stands
between brackets. Depth and length are bounded; what the grammar does not take is `Unreadable`.

Not covered: sums, integrals and limits with bounds, set builders, derivatives, `]0, 1[`.
"""

from __future__ import annotations

from fractions import Fraction

from tasks.verify.expression import (
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
from tasks.verify.latex_tokens import Token
from tasks.verify.units import unit_name

RELATIONS = frozenset(("=", "<", ">", "<=", ">=", "!=", "in", "~"))
_CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "<(": ")>", "{": "}"}
_STARTS = frozenset(("(", "[", "\\{", "<(", "{", "frac", "binom", "floor(", "ceil("))
_END = Token("end", "")
_SHAPES = (Row, Matrix, Chain, Measure, Numeral)


class Reader:
    """One pass over the tokens of a phrase."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = [*tokens, _END]
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
            raise Unreadable(f"no {ascii(text)} where one belongs")

    def answer(self) -> Tree:
        """A whole phrase: one item, or a list of items without brackets."""
        items = self.items()
        if self.next.kind != "end":
            raise Unreadable(f"{ascii(self.next.text)} where the answer should end")
        return items[0] if len(items) == 1 else Row("", tuple(items), "")

    def items(self) -> list[Tree]:
        """Items between commas, semicolons and "and"; "or" joins only sets (x < 1 or x > 3)."""
        items = [self.relation()]
        while True:
            if self.take("or"):
                either = self.relation()
                if not (_is_set(items[-1]) and _is_set(either)):
                    raise Unreadable("more than one answer, joined by 'or'")
                items[-1] = Apply("cup", (items[-1], either))
            elif self.take(",", ";"):
                self.take("and")
                items.append(self.relation())
            elif self.take("and"):
                items.append(self.relation())
            else:
                return items

    def relation(self) -> Tree:
        sides, signs = [self.union()], []
        while self.next.kind == "sign" and self.next.text in RELATIONS:
            signs.append(self.take(*RELATIONS))
            sides.append(self.union())
        return Chain(tuple(sides), tuple(signs)) if signs else sides[0]

    def union(self) -> Tree:
        parts = [self.ratio()]
        while self.take("cup"):
            parts.append(self.ratio())
        return Apply("cup", tuple(parts)) if len(parts) > 1 else parts[0]

    def ratio(self) -> Tree:
        parts = [self.measure()]
        while self.take(":"):
            parts.append(self.measure())
        if len(parts) == 1:
            return parts[0]
        if isinstance(parts[-1], Measure):  # 3:30 p.m.
            return Measure(Row(":", (*parts[:-1], parts[-1].amount), ":"), parts[-1].unit)
        return Row(":", tuple(parts), ":")

    def measure(self) -> Tree:
        """An amount and the words after it: 5 cm, 12 square units, 10%, 45 degrees."""
        currency = self.next.text if self.next.kind == "word" else ""
        if unit_name(currency) in ("dollar", "euro"):
            self.place += 1
        else:
            currency = ""
        amount = self.sum()
        unit = [currency] if currency else []
        while True:
            power = self.power_of_unit() if unit else ""
            if power:
                unit.append(power)
            elif self.next.kind == "word":
                unit.append(self.next.text)
                self.place += 1
            elif unit and self.next.text == "/" and self.tokens[self.place + 1].kind == "word":
                unit.append(self.take("/"))
            elif self.next.kind == "sign" and self.next.text == "-" and self._word_follows():
                self.place += 1
            elif self.take("%"):
                unit.append("%")
            else:
                break
        if any(word in ("to", "not", "between", "nor", "never", "either", "neither") for word in unit):
            raise Unreadable(f"the word {ascii(' '.join(unit))[:40]}")
        return Measure(amount, unit_name(" ".join(unit))) if unit else amount

    def _word_follows(self) -> bool:
        return self.tokens[self.place + 1].kind == "word"

    def power_of_unit(self) -> str:
        """The exponent in cm^2."""
        if self.next.text != "^":
            return ""
        self.place += 1
        exponent = self.argument()
        if not isinstance(exponent, Number) or exponent.value not in (1, 2, 3):
            raise Unreadable("a unit's exponent")
        return f"^{exponent.value}"

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        parts: list[Tree] = []
        sign = self.take("+", "-", "pm", "mp")
        while True:
            term = self.product()
            if sign in ("pm", "mp"):
                parts = [Apply(sign, (_sum(parts), term) if parts else (term,))]
            else:
                parts.append(negative(term) if sign == "-" else term)
            if self.next.text == "-" and self._word_follows():
                break  # a hyphen: 5-year
            sign = self.take("+", "-", "pm", "mp")
            if not sign:
                break
        self.depth -= 1
        return _sum(parts)

    def product(self) -> Tree:
        value = self.factor()
        while True:
            sign = self.take("*")
            if not sign and self.next.text == "/" and not self._word_follows():
                sign = self.take("/")
            if sign:
                right = self.signed()
                value = _checked("/" if sign == "/" else "*", value, right)
            elif self.implicit():
                value = self.joined(value)
            else:
                return value

    def signed(self) -> Tree:
        """A factor after * or /, which may carry a minus of its own."""
        return negative(self.factor()) if self.take("-") else self.factor()

    def implicit(self) -> bool:
        """Whether a factor follows without a sign between."""
        token = self.next
        if token.kind in ("number", "name", "function", "numeral"):
            return True
        if token.kind == "block":
            return token.text.startswith("begin")
        return token.kind == "sign" and (token.text in _STARTS or (token.text == "|" and not self.in_bars))

    def joined(self, left: Tree) -> Tree:
        """2x, 3(x+1), and the mixed numbers 2 1/2 and 2\\frac{1}{2}."""
        token = self.next
        whole = left if isinstance(left, Number) and left.value.denominator == 1 and not left.places else None
        if token.kind == "number":
            if whole and token.spaced and self.tokens[self.place + 1].text == "/":
                above = self.primary()
                self.need("/")
                return _mixed(whole, _checked("/", above, self.primary()))
            raise Unreadable("two numbers with nothing between")
        if token.text == "frac" and whole:
            right = self.factor()
            if isinstance(right, Apply) and all(isinstance(part, Number) for part in right.arguments):
                return _mixed(whole, right)
            return _checked("*", left, right)
        return _checked("*", left, self.factor())

    def factor(self) -> Tree:
        base = self.postfix()
        if self.next.text != "^" or self.next.kind != "sign":
            return base
        self.place += 1
        if self.take("deg"):
            return Measure(base, "degree")
        if self.next.text == "{" and self.tokens[self.place + 1].text == "deg":
            self.place += 2
            self.need("}")
            return Measure(base, "degree")
        exponent = self.exponent()
        if base == Name("reals"):
            return Name(f"reals^{exponent}")
        return _checked("^", base, exponent)

    def exponent(self) -> Tree:
        """A group, or one sign with its own powers: 2^3^2 is 2^9; -1 in x^-1."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        if self.take("-"):
            value = negative(self.primary())
        else:
            value = self.primary()
        if self.next.text == "^":
            self.place += 1
            value = _checked("^", value, self.exponent())
        self.depth -= 1
        return value

    def postfix(self) -> Tree:
        value = self.primary()
        while True:
            if self.take("!"):
                value = _checked("factorial", value)
            elif self.take("deg"):
                value = Measure(value, "degree")
            elif self.take("'"):
                value = Name(f"{value.text}'") if isinstance(value, Name) else _refuse("a prime")
            elif self.next.text == "_" and isinstance(value, Name):
                self.place += 1
                value = Name(f"{value.text}_{self.subscript()}")
            elif self.next.text == "_":
                return self.based(value)
            else:
                return value

    def subscript(self) -> str:
        """The label of a name: x_1, x_{n+1}, S_{ABCD}, x_{\\text{max}}."""
        self.take("{") if self.tokens[self.place + 1].kind == "word" else None
        if self.next.kind != "word":
            return _label(self.argument())
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
        return _refuse("a subscript")

    def primary(self) -> Tree:
        token = self.next
        self.place += 1
        match token.kind:
            case "number":
                return _number(token.text)
            case "numeral":
                digits, _, base = token.text.partition("_")
                return Numeral(digits.lstrip("0") or "0", int(base))
            case "name":
                return Name(token.text)
            case "function":
                return self.function(token.text)
            case "block" if token.text.startswith("begin"):
                return self.matrix(token.text.removeprefix("begin "))
            case "sign":
                return self.opened(token.text)
        return _refuse(ascii(token.text)[:40] if token.text else "the end, where a value belongs")

    def opened(self, sign: str) -> Tree:
        """What a bracket, a bar, a fraction or a binomial opens."""
        if sign in _CLOSING:
            return self.brackets(sign)
        if sign == "frac":
            return _checked("/", self.argument(), self.argument())
        if sign == "binom":
            return _checked("binom", self.argument(), self.argument())
        if sign in ("floor(", "ceil("):
            inner = self.sum()
            self.need(")" + sign[:-1])
            return _checked(sign[:-1], inner)
        if sign == "|":
            self.in_bars += 1
            inner = self.sum()
            self.in_bars -= 1
            self.need("|")
            return _checked("abs", inner)
        if sign == "{}":
            return Row("\\{", (), "\\}")
        return _refuse(f"{ascii(sign)} where a value belongs")

    def brackets(self, opening: str) -> Tree:
        self.depth += 1
        bars, self.in_bars = self.in_bars, 0
        if self.take(_CLOSING[opening]):
            if opening != "\\{":
                return _refuse("empty brackets")
            items: list[Tree] = []
            closing = "\\}"
        else:
            items = self.items()
            closing = self.take(*(")", "]") if opening in "([" else (_CLOSING[opening],))
        if not closing:
            raise Unreadable(f"{ascii(opening)} that nothing closes")
        self.depth -= 1
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
            return _checked("root", self.primary(), degree)
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
        value = _checked(name, argument, base) if base else _checked(name, argument)
        return _checked("^", value, power) if power else value

    def argument_of(self, name: str) -> Tree:
        """What a function is of: brackets, or the factors up to the next sign or function (sin 2x)."""
        if self.next.text in ("(", "{", "["):
            inner = self.primary()
            if name in ("max", "min") and isinstance(inner, Row):
                return _refuse(name)
            return inner
        value = self.factor()
        while self.implicit() and self.next.kind != "function" and self.next.text not in ("(", "["):
            value = self.joined(value)
        return value

    def matrix(self, kind: str) -> Tree:
        if kind not in ("pmatrix", "bmatrix", "matrix", "array", "smallmatrix"):
            return _refuse(ascii(kind))
        rows: list[list[Tree]] = [[]]
        while self.next.kind != "block":
            rows[-1].append(self.union())
            if self.take("\\\\"):
                rows.append([])
            elif not self.take("&") and self.next.kind != "block":
                return _refuse("a matrix")
        self.place += 1
        rows = [row for row in rows if row]
        if not rows or len({len(row) for row in rows}) > 1:
            return _refuse("rows of different lengths")
        return Matrix(tuple(map(tuple, rows)))


def _refuse(what: str) -> Tree:
    raise Unreadable(what)


def _is_set(tree: Tree) -> bool:
    if isinstance(tree, Row):
        return bool(tree.opening) and len(tree.items) == 2 and tree.opening != ":"
    if isinstance(tree, Chain):
        return any(sign in ("<", ">", "<=", ">=", "in") for sign in tree.signs)
    return isinstance(tree, Apply) and tree.function == "cup"


def _label(tree: Tree) -> str:
    """A subscript as part of a name."""
    match tree:
        case Number(value=value):
            return str(value)
        case Name(text=text):
            return text
        case Apply(function=function, arguments=parts) if len(parts) < 9:
            return f"{function}({','.join(map(_label, parts))})"
    raise Unreadable("a subscript")


def _sum(parts: list[Tree]) -> Tree:
    return parts[0] if len(parts) == 1 else _checked("+", *parts)


def _checked(function: str, *arguments: Tree) -> Tree:
    """An operation on scalars; points, sets and measures take none (an angle inside sin does)."""
    flat = []
    for argument in arguments:
        if isinstance(argument, Measure) and argument.unit == "degree":
            argument = Apply("degrees", (argument.amount,))
        if isinstance(argument, _SHAPES) or argument == Name("reals"):
            raise Unreadable("arithmetic on what is no number")
        flat.append(argument)
    return Apply(function, tuple(flat))


def _mixed(whole: Number, fraction: Tree) -> Tree:
    assert isinstance(fraction, Apply)
    above, below = fraction.arguments
    if not (isinstance(above, Number) and isinstance(below, Number)) or above.value >= below.value:
        raise Unreadable("a mixed number whose fraction is not below one")
    return Number(whole.value + above.value / below.value)


def _number(text: str) -> Tree:
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) > LARGEST_EXPONENT:
        raise Unreadable("a number beyond 1e300")
    places = len(mantissa.partition(".")[2])
    value = Fraction(mantissa.rstrip(".") if not mantissa.startswith(".") else "0" + mantissa)
    return Number(value * Fraction(10) ** int(exponent or 0), places if not exponent else 0)

