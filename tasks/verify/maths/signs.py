"""The two values that a plus-minus sign stands for."""

from __future__ import annotations

from tasks.verify.maths.expression import Apply, Chain, Measure, Row, Tree, negative, walk


def spread(tree: Tree) -> Tree:
    """The tree with 1 ± 2 as the two numbers it stands for, also inside a list or a set."""
    if isinstance(tree, Row) and tree.opening in ("", "\\{"):
        items: list[Tree] = []
        for item in tree.items:
            one = spread(item)
            items += one.items if isinstance(one, Row) and one.opening == "" else [one]
        return Row(tree.opening, tuple(items), tree.closing)
    if isinstance(tree, Chain) and tree.signs == ("=",) and _has_sign(tree.sides[1]):
        both = [_signed(tree.sides[1], sign) for sign in (1, -1)]
        return Row("", tuple(Chain((tree.sides[0], side), ("=",)) for side in both), "")
    if isinstance(tree, (Apply, Measure)) and _has_sign(tree):
        return Row("", (_signed(tree, 1), _signed(tree, -1)), "")
    return tree


def _has_sign(tree: Tree) -> bool:
    return any(isinstance(part, Apply) and part.function in ("pm", "mp") for part in walk(tree))


def _signed(tree: Tree, sign: int) -> Tree:
    """The tree with every ± as + (sign 1) or - (sign -1), and every ∓ the other way."""
    match tree:
        case Apply(function="pm" | "mp" as function, arguments=arguments):
            last = _signed(arguments[-1], sign)
            last = last if (sign == 1) == (function == "pm") else negative(last)
            return Apply("+", (_signed(arguments[0], sign), last)) if len(arguments) > 1 else last
        case Apply(function=function, arguments=arguments):
            return Apply(function, tuple(_signed(argument, sign) for argument in arguments))
        case Measure(amount=amount, unit=unit):
            return Measure(_signed(amount, sign), unit)
    return tree
