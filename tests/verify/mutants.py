"""Wrong programs out of right ones: strategies that fool weak judges, and single faults in a syntax tree."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Callable, Iterator

# Each is put after a right program, whose function NAME it replaces.
STRATEGIES = {
    "gives nothing": "def NAME(*a, **k):\n    return None\n",
    "exits early": "import os\ndef NAME(*a, **k):\n    os._exit(0)\n",
    "equals everything": (
        "class Any(int):\n"
        "    __eq__ = __bool__ = __lt__ = __gt__ = __le__ = __ge__ = lambda *each: True\n"
        "    __ne__ = lambda *each: False\n"
        "    __hash__ = int.__hash__\n"
        "def NAME(*a, **k):\n    return Any(0)\n"
    ),
    "right value of another type": (
        "right = NAME\n"
        "def NAME(*a, **k):\n"
        "    value = right(*a, **k)\n"
        "    if value is None or type(value) is bool:\n"
        "        return int(value or 0)\n"
        "    return str(value) if type(value) is not str else value.encode()\n"
    ),
    "wrong value that claims to be right": (
        "right = NAME\n"
        "def NAME(*a, **k):\n"
        "    value = right(*a, **k)\n"
        "    if value is None or type(value) is bool:\n"
        "        return not value\n"
        "    claims = {'__eq__': lambda *each: True, '__ne__': lambda *each: False, '__hash__': None}\n"
        "    wrong = value + type(value)('1') if type(value) in (int, float, str) else None\n"
        "    if wrong is None:\n"
        "        wrong = type(value)([*value, 'x']) if type(value) in (list, tuple, set) else 'x'\n"
        "    return type('Sub', (type(wrong),), claims)(wrong)\n"
    ),
    "wrong value of the right type": (
        "right = NAME\n"
        "def NAME(*a, **k):\n"
        "    value = right(*a, **k)\n"
        "    kind = type(value)\n"
        "    if kind is bool:\n        return not value\n"
        "    if kind in (int, float):\n        return value + 1\n"
        "    if kind in (str, list, tuple):\n        return value + kind('x')\n"
        "    if kind is dict:\n        return {**value, 'x': 1}\n"
        "    return 'x'\n"
    ),
    "knows the first answer": (
        "right, first = NAME, []\n"
        "def NAME(*a, **k):\n"
        "    first.append(first[0] if first else right(*a, **k))\n"
        "    return first[0]\n"
    ),
}

_COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
_COMPARISONS |= {ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Mod: ast.Mult, ast.Div: ast.Mult}
_OPERATORS |= {ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult}


def single_faults(source: str, entry_point: str, most: int) -> list[str]:
    """At most `most` mutants of one function by one fault each, the same ones at every call."""
    tree = ast.parse(source)
    mutants = [ast.unparse(each) for each in _mutants(tree, entry_point)]
    mutants.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
    return mutants[:most]


def _mutants(tree: ast.Module, entry_point: str) -> Iterator[ast.Module]:
    function = next(each for each in reversed(tree.body) if getattr(each, "name", "") == entry_point)
    inside = {id(node) for statement in function.body[1:] for node in ast.walk(statement)}
    places = [place for place, node in enumerate(ast.walk(tree)) if id(node) in inside]
    for place in places:
        mutant = copy.deepcopy(tree)
        node = next(each for index, each in enumerate(ast.walk(mutant)) if index == place)
        change = _FAULTS.get(type(node))
        if change is not None and change(node):
            yield ast.fix_missing_locations(mutant)


def _comparison(node: ast.Compare) -> bool:
    kind = _COMPARISONS.get(type(node.ops[0]))
    if kind:
        node.ops[0] = kind()
    return kind is not None


def _operator(node: ast.BinOp | ast.AugAssign) -> bool:
    kind = _OPERATORS.get(type(node.op))
    if kind:
        node.op = kind()
    return kind is not None


def _constant(node: ast.Constant) -> bool:
    if type(node.value) is bool:
        node.value = not node.value
    elif type(node.value) is int:
        node.value += 1
    elif type(node.value) is str:
        node.value += "x"
    else:
        return False
    return True


def _junction(node: ast.BoolOp) -> bool:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return True


def _condition(node: ast.If | ast.IfExp) -> bool:
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return True


_FAULTS: dict[type, Callable[..., bool]] = {
    ast.Compare: _comparison,
    ast.BinOp: _operator,
    ast.AugAssign: _operator,
    ast.Constant: _constant,
    ast.BoolOp: _junction,
    ast.If: _condition,
    ast.IfExp: _condition,
}
