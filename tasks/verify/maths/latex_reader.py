"""Reads tokens into a tree, by recursive descent: relations, unions, sums, products, powers, then what stands
between brackets. Depth and length are bounded; what the grammar does not take is `Unreadable`.

Not covered: sums, integrals and limits with bounds, set builders, derivatives, `]0, 1[`.
"""

from __future__ import annotations

from fractions import Fraction

from tasks.verify.maths.expression import (
    Apply,
    Chain,
    Measure,
    Name,
    Number,
    Row,
    Tree,
    Unreadable,
    negative,
    variables,
)
from tasks.verify.maths.measures import joined_or_both, measured, scaled, together, without
from tasks.verify.maths.operands import Operands, apply
from tasks.verify.maths.units import CURRENCY, scale_of, unit_name

RELATIONS = frozenset(("=", "<", ">", "<=", ">=", "!=", "in", "~"))
_STARTS = frozenset(("(", "[", "\\{", "<(", "{", "frac", "binom", "floor(", "ceil("))


class Reader(Operands):
    """One pass over the tokens of a phrase."""

    def answer(self) -> Tree:
        """A whole phrase: one item, or a list of items without brackets."""
        items = self.items()
        if self.next.kind != "end":
            raise Unreadable(f"{self.next.text!a} where the answer should end")
        return items[0] if len(items) == 1 else Row("", tuple(items), "")

    choice = False  # whether "or" stands between values

    def items(self) -> list[Tree]:
        """Items between commas, semicolons, "and", "or"; of sets, "or" is the union, "and" what is common."""
        items = [self.relation()]
        while True:
            if self.take("or"):
                either = self.relation()
                if _is_set(items[-1]) and _is_set(either):
                    items[-1] = Apply("cup", (items[-1], either))
                    continue
                lefts = [each.sides[0] for each in (items[-1], either) if isinstance(each, Chain)]
                if len(lefts) == 2 and lefts[0] != lefts[1] and not variables(lefts[0]) & variables(lefts[1]):
                    raise Unreadable("a choice between two unknowns")
                self.choice = self.choice or len(lefts) < 2
                items.append(either)
            elif self.take(",", ";"):
                self.take("and")
                if self.take("or"):
                    self.choice = True
                items.append(self.relation())
            elif self.take("and"):
                items += joined_or_both(items.pop(), self.relation())
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
        while sign := self.take("cup", "setminus"):
            part = self.ratio()
            if sign == "cup":
                parts.append(part)
            else:
                parts[-1] = without(parts[-1], part)
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
        """An amount and the words after it: 5 cm, 12 square units, 10%, 45 degrees, 5 feet 6 inches."""
        value = self.one_measure()
        while isinstance(value, Measure) and value.unit and self.next.kind == "number":
            value = together(value, self.one_measure())
        return value

    def one_measure(self) -> Tree:
        currency = self.next.text if self.next.kind == "word" else ""
        if unit_name(currency) in CURRENCY.values():
            self.place += 1
        else:
            currency = ""
        amount = self.sum()
        scale = self.scale()
        if scale != 1:
            amount = scaled(amount, scale)
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
        if not unit:
            return amount
        if isinstance(amount, Measure):
            unit.insert(0, amount.unit)
            amount = amount.amount
        return measured(amount, unit)

    def scale(self) -> int:
        """What the scale words after a number come to: 5 million, 2 hundred thousand, 3 dozen."""
        scale = 1
        while self.next.kind == "word":
            one = scale_of(self.next.text)
            if one is None:
                break
            scale *= one
            self.place += 1
        return scale

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
        return _sum(parts)

    def product(self) -> Tree:
        value = self.factor()
        while True:
            sign = self.take("*")
            if not sign and self.next.text == "/" and not self._word_follows():
                sign = self.take("/")
            if sign:
                right = self.signed()
                value = apply("/" if sign == "/" else "*", value, right)
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
        if token.kind in ("number", "name", "function", "numeral", "accent", "repeating"):
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
                return _mixed(whole, apply("/", above, self.primary()))
            if isinstance(_last(left), Number) or not (
                token.spaced or self.tokens[self.place - 1].text == ")"
            ):
                raise Unreadable("two numbers with nothing between")
        if token.text == "frac" and whole:
            right = self.factor()
            if isinstance(right, Apply) and all(isinstance(part, Number) for part in right.arguments):
                return _mixed(whole, right)
            return apply("*", left, right)
        return apply("*", left, self.factor())

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
        if exponent == Number(Fraction(-1)) and isinstance(base, Name) and base.text in "fghFGH":
            argument = self.argument_written(base.text)
            if argument:
                return Name(f"{base.text}^-1{argument}")
        if base == Name("reals"):
            return Name(f"reals^{exponent}")
        return apply("^", base, exponent)

    def postfix(self) -> Tree:
        value = self.primary()
        while True:
            if self.take("!"):
                value = apply("factorial", value)
            elif self.take("deg"):
                value = Measure(value, "degree")
            elif isinstance(value, Name) and self.take("'"):
                value = Name(f"{value.text}'")
                value = Name(value.text + self.argument_written(value.text.rstrip("'")))
            elif self.next.text == "_" and isinstance(value, Name):
                self.place += 1
                value = Name(f"{value.text}_{self.subscript()}")
            elif self.next.text == "_":
                return self.based(value)
            else:
                return value


def _is_set(tree: Tree) -> bool:
    if isinstance(tree, Row):
        return bool(tree.opening) and len(tree.items) == 2 and tree.opening != ":"
    if isinstance(tree, Chain):
        return any(sign in ("<", ">", "<=", ">=", "in") for sign in tree.signs)
    return isinstance(tree, Apply) and tree.function == "cup"


def _sum(parts: list[Tree]) -> Tree:
    return parts[0] if len(parts) == 1 else apply("+", *parts)


def _last(tree: Tree) -> Tree:
    """The factor that a product ends with."""
    return tree.arguments[-1] if isinstance(tree, Apply) and tree.function in "*/" else tree


def _mixed(whole: Number, fraction: Tree) -> Tree:
    assert isinstance(fraction, Apply)
    above, below = fraction.arguments
    if not (isinstance(above, Number) and isinstance(below, Number)) or above.value >= below.value:
        raise Unreadable("a mixed number whose fraction is not below one")
    return Number(whole.value + above.value / below.value)
