"""Comparison in tests as a reference means it: Python's own, save that a bool equals only a bool.

The trusted tests are rewritten so that every `==`, `!=`, `in` and `not in` goes through here; the other
comparisons stay Python's. 3 == 3.0 holds, as in Python; True == 1 does not, at any depth.
"""

from __future__ import annotations

import ast
from collections import deque
from typing import Any

EQUAL, WITHIN = "__ratchet_equal__", "__ratchet_within__"


def rewrite(tree: ast.Module) -> ast.Module:
    """The tests with their comparisons made strict; names EQUAL and WITHIN are to be bound where they run."""
    _Strict().visit(tree)
    return ast.fix_missing_locations(tree)


def equal(*values: Any) -> Any:
    """Whether each value equals the next one, a bool only a bool; of two arrays, item by item."""
    if len(values) == 2 and any(hasattr(type(value), "__array__") for value in values):
        return values[0] == values[1]
    return all(map(_same, values, values[1:]))


def within(value: Any, container: Any) -> bool:
    """Membership, a bool only of a bool; in anything but a list, tuple, set or dict it is Python's own."""
    if isinstance(container, list | tuple | set | frozenset | dict):
        return any(_same(value, each) for each in container)
    return bool(value in container)


def _same(left: Any, right: Any) -> bool:
    if (type(left) is bool) != (type(right) is bool) and _number(left) and _number(right):
        return False
    equals = left == right
    if not (equals.all() if hasattr(type(equals), "__array__") else equals):  # of arrays inside lists
        return False
    if isinstance(left, list | tuple | deque) and isinstance(right, list | tuple | deque):
        return all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        # Counters may be equal with different keys: one that is missing counts zero.
        return _marked(left) == _marked(right) and all(
            _same(left[key], right[key]) for key in left if key in right
        )
    if isinstance(left, set | frozenset) and isinstance(right, set | frozenset):
        return _marked(left) == _marked(right)
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float | complex)


def _marked(values: Any) -> set[Any]:
    """The bools among the members or keys: equal collections differ only where these do."""
    return {each for each in values if type(each) is bool}


class _Strict(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        kinds = {type(operator) for operator in node.ops}
        if kinds == {ast.Eq}:
            return _call(EQUAL, [node.left, *node.comparators])
        if len(node.ops) > 1:
            return node
        if kinds <= {ast.NotEq}:
            return ast.UnaryOp(ast.Not(), _call(EQUAL, [node.left, *node.comparators]))
        if kinds <= {ast.In}:
            return _call(WITHIN, [node.left, *node.comparators])
        if kinds <= {ast.NotIn}:
            return ast.UnaryOp(ast.Not(), _call(WITHIN, [node.left, *node.comparators]))
        return node


def _call(name: str, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), arguments, [])
