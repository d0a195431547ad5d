"""The referee's side of the values: builds built-in values out of a child's bytes, which are hostile.

Only the tags of encode.py are known, each with its own shape; depth, number of values and sizes are bounded
here again. What comes out has exact built-in or library types, so that comparing it runs none of the
candidate's code; a handle becomes what the caller makes of it (remote.py).
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tasks.verify.sandbox.encode import DEEPEST, MOST_BITS, MOST_CHARACTERS, MOST_VALUES

Make = Callable[[list[Any]], Any]

_HEX = re.compile(rf"-?0x[0-9a-f]{{1,{MOST_BITS // 4 + 1}}}")
_BYTES = re.compile(rf"(?:[0-9a-f]{{2}}){{0,{MOST_CHARACTERS}}}")
_NUMPY_TYPE = re.compile(r"[<>|=][biufc][0-9]{1,2}|<U[0-9]{1,4}")
_FLOATS = ("nan", "inf", "-inf")
_MOST_DIGITS = 10_000  # of a decimal


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


def build(tree: object, make: Make | None = None) -> Any:
    """The value of a parsed reply's tree; Forged where it breaks a bound or has an unknown shape.

    `make` gives the value of a handle: its id, kind, class name and bases, checked in their types only.
    """
    try:
        return _build(tree, 0, [MOST_VALUES * 2], make)
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        raise Forged(f"a reply without a value: {type(error).__name__}") from error


def _build(tree: object, depth: int, budget: list[int], make: Make | None) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > DEEPEST + 1:
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
    if tag == "h":
        return _handle(tree[1:], make)
    if tag not in _CONTAINERS:
        raise Forged("a reply with an unknown tag")
    return _CONTAINERS[tag]([_build(each, depth + 1, budget, make) for each in tree[1:]])


def _handle(parts: list[Any], make: Make | None) -> Any:
    shape = [type(each) for each in parts]
    if make is None or shape != [int, str, str, list] or not all(type(each) is str for each in parts[3]):
        raise Forged("a reply with a malformed handle")
    return make(parts)


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


def _named(parts: list[Any]) -> Any:
    name, fields, values = parts
    if not all(type(each) is str and each.isidentifier() for each in (name, *fields)) or len(fields) > 255:
        raise Forged("a reply with a malformed named tuple")
    return _tuple_type(name, tuple(fields))(*values)


@lru_cache(maxsize=64)
def _tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    name = f"{name}_" if keyword.iskeyword(name) else name
    return namedtuple(name, fields, rename=True)


def _fraction(parts: list[Any]) -> Any:
    from fractions import Fraction

    return Fraction(*map(_exact(int), parts))


def _decimal(parts: list[Any]) -> Any:
    from decimal import Decimal

    (text,) = map(_exact(str), parts)
    if len(text) > _MOST_DIGITS:
        raise Forged("a reply with a decimal that is too long")
    return Decimal(text)


def _moment(kind: str) -> Callable[[list[Any]], Any]:
    def built(parts: list[Any]) -> Any:
        import datetime

        (text,) = map(_exact(str), parts)
        return getattr(datetime, kind).fromisoformat(text)

    return built


def _span(parts: list[Any]) -> Any:
    from datetime import timedelta

    days, seconds, microseconds = map(_exact(int), parts)
    return timedelta(days, seconds, microseconds)


def _array(parts: list[Any]) -> Any:
    from array import array

    return array(_exact(str)(parts[0]), parts[1])


def _path(parts: list[Any]) -> Any:
    from pathlib import Path

    (text,) = map(_exact(str), parts)
    return Path(text)


def _uuid(parts: list[Any]) -> Any:
    from uuid import UUID

    return UUID(hex=_exact(str)(parts[0]))


def _numpy_array(parts: list[Any]) -> Any:
    """An array, where the user lets tests have numpy; else its nested lists."""
    kind, shape, values = parts
    if not _NUMPY_TYPE.fullmatch(kind):
        raise Forged("a reply with an unknown kind of array")
    try:
        import numpy as np
    except ImportError:
        return _nested([*map(_exact(int), shape)], values)
    return np.array(values, dtype=kind).reshape(shape)


def _nested(shape: list[int], values: list[Any]) -> Any:
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)] if size else []
    return values if shape else values[0]


def _exact(kind: type) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if type(value) is not kind:
            raise Forged(f"a reply with a value that is no {kind.__name__}")
        return value

    return checked


_ATOMS: dict[str, Callable[..., Any]] = {
    "n": _integer,
    "f": _float,
    "b": _bytes,
    "B": lambda text: bytearray(_bytes(text)),
    "c": lambda real, imaginary: complex(_real(real), _real(imaginary)),
    "e": lambda: ...,
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
    "N": _named,
    "F": _fraction,
    "M": _decimal,
    "Ta": _moment("date"),
    "Td": _moment("datetime"),
    "Tt": _moment("time"),
    "Ts": _span,
    "A": _array,
    "P": _path,
    "U": _uuid,
    "Y": _numpy_array,
    "y": lambda parts: parts[0],
}
