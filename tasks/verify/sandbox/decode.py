"""The referee's side of the values: builds built-in values out of a child's bytes, which are hostile.

Only the tags of encode.py are known, each with its own shape; depth, number of values and sizes are bounded
here again. What comes out has exact built-in types, so that comparing it runs none of the candidate's code.
"""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from tasks.verify.sandbox.encode import DEEPEST, MOST_BITS, MOST_CHARACTERS, MOST_VALUES

_HEX = re.compile(rf"-?0x[0-9a-f]{{1,{MOST_BITS // 4 + 1}}}")
_BYTES = re.compile(rf"(?:[0-9a-f]{{2}}){{0,{MOST_CHARACTERS}}}")
_FLOATS = ("nan", "inf", "-inf")


class Forged(Exception):
    """Bytes that our own encoder never writes: evidence that the candidate wrote them."""


def parse(content: bytes) -> list[Any]:
    """One reply's frame as a JSON list, its values not yet built; Forged where it is none."""
    try:
        reply = json.loads(content.decode("ascii"), parse_constant=_no_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Forged("a reply that is not JSON") from error
    if type(reply) is not list:
        raise Forged("a reply that is not a list")
    return reply


def build(tree: object) -> Any:
    """The value of a parsed reply's tree; Forged where it breaks a bound or has an unknown shape."""
    try:
        return _build(tree, 0, [MOST_VALUES * 2])
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise Forged(f"a reply without a value: {type(error).__name__}") from error


def _build(tree: object, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST + 1:
        raise Forged("a reply beyond the encoder's bounds")
    if type(tree) is not list:
        if type(tree) is dict:
            raise Forged("a reply with an object")
        return tree
    if not tree or type(tree[0]) is not str:
        raise Forged("a reply with a value that has no tag")
    tag = tree[0]
    if tag in _ATOMS:
        return _ATOMS[tag](*tree[1:])
    if tag not in _CONTAINERS:
        raise Forged("a reply with an unknown tag")
    return _CONTAINERS[tag]([_build(each, depth + 1, left) for each in tree[1:]])


def _no_constant(name: str) -> float:
    raise ValueError(f"the constant {name}")


def _integer(text: str) -> int:
    if not _HEX.fullmatch(text):
        raise Forged("a reply with a malformed integer")
    return int(text, 16)


def _float(text: str) -> float:
    if text not in _FLOATS:
        raise Forged("a reply with a malformed float")
    return float(text)


def _bytes(text: str) -> bytes:
    if not _BYTES.fullmatch(text):
        raise Forged("a reply with malformed bytes")
    return bytes.fromhex(text)


def _real(part: object) -> float:
    value = _float(part[1]) if type(part) is list and len(part) == 2 else part
    if type(value) is not float:
        raise Forged("a reply with a malformed complex number")
    return value


def _pairs(flat: list[Any]) -> zip[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


_ATOMS: dict[str, Callable[..., Any]] = {
    "n": _integer,
    "f": _float,
    "b": _bytes,
    "B": lambda text: bytearray(_bytes(text)),
    "c": lambda real, imaginary: complex(_real(real), _real(imaginary)),
}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "z": frozenset,
    "q": deque,
    "i": iter,
    "r": lambda bounds: range(*bounds),
    "d": lambda flat: dict(_pairs(flat)),
    "O": lambda flat: OrderedDict(_pairs(flat)),
    "D": lambda flat: defaultdict(None, _pairs(flat)),
    "C": lambda flat: Counter(dict(_pairs(flat))),
}
