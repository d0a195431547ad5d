"""The child's side of the values: plain data as JSON in ASCII, by exact type, within bounds.

A type counts only if it is the built-in one itself: an int subclass or an object with an `__eq__` of its
own is no plain data. Counter, OrderedDict, defaultdict and deque keep their type; generators, views and the
like are drawn to their end. The candidate shares this process and may bend this code: whatever it then
sends is only a claim of a value, built again by decode.py.
"""

from __future__ import annotations

import sys
import types
from _collections import OrderedDict, defaultdict, deque  # type: ignore[import-not-found]
from _json import encode_basestring_ascii  # the C half of json: json itself takes as long as a small program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEEPEST = 64  # nested containers
MOST_VALUES = 200_000  # in one reply, containers included
MOST_BITS = 1 << 20  # of an integer
MOST_CHARACTERS = 1 << 20  # of one string

_PLAIN_INT = 1 << 53
_SEQUENCES = {list: "l", tuple: "t", set: "s", frozenset: "z", deque: "q"}
_MAPPINGS = {dict: "d", OrderedDict: "O", defaultdict: "D"}
_VIEWS: tuple[Any, ...] = ({}.keys(), {}.values(), {}.items())
_ITERATORS: tuple[Any, ...] = (iter([]), iter(()), iter(""), iter(set()), iter({}), iter(range(0)))
_DRAWN = frozenset(
    (types.GeneratorType, map, filter, zip, enumerate, reversed, *map(type, _VIEWS), *map(type, _ITERATORS))
)

_modules, _type, _len, _repr, _hex, _str = sys.modules, type, len, repr, hex, str
_items = dict.items


class Unencodable(Exception):
    """A value that is not plain data, or that is too large or too deep to send."""


def encode(value: object) -> str:
    """A value as the text of one JSON value in ASCII; Unencodable says why not."""
    parts: list[str] = []
    _encode(value, parts, 0)
    return "".join(parts)


def _encode(value: Any, parts: list[str], depth: int) -> None:
    if depth > DEEPEST:
        raise Unencodable(f"a value nested deeper than {DEEPEST}")
    if _len(parts) > 4 * MOST_VALUES:
        raise Unencodable(f"a value of more than {MOST_VALUES} parts")
    kind = _type(value)
    if kind in _SCALARS:
        parts.append(_SCALARS[kind](value))
    elif kind in _SEQUENCES:
        _encode_all(_SEQUENCES[kind], value, parts, depth)
    elif kind in _MAPPINGS:
        _encode_mapping(_MAPPINGS[kind], value, parts, depth)
    elif kind in _DRAWN:
        _encode_all("i", value, parts, depth)
    elif kind is range:
        _encode_all("r", (value.start, value.stop, value.step), parts, depth)
    elif kind is getattr(_modules.get("collections"), "Counter", None):
        _encode_mapping("C", value, parts, depth)
    else:
        raise Unencodable(f"a value of type {kind.__name__!r}, which is not plain data")


def _encode_all(tag: str, values: Any, parts: list[str], depth: int) -> None:
    parts.append(f'["{tag}"')
    for each in values:
        parts.append(",")
        _encode(each, parts, depth + 1)
    parts.append("]")


def _encode_mapping(tag: str, mapping: Any, parts: list[str], depth: int) -> None:
    _encode_all(tag, (each for item in _items(mapping) for each in item), parts, depth)


def _integer(value: int) -> str:
    if -_PLAIN_INT < value < _PLAIN_INT:
        return _repr(value)
    if value.bit_length() > MOST_BITS:
        raise Unencodable(f"an integer of more than {MOST_BITS} bits")
    return f'["n","{_hex(value)}"]'


def _float(value: float) -> str:
    # Infinities and NaN are the only floats that differ from themselves after a subtraction.
    return _repr(value) if value - value == 0 else f'["f","{_repr(value)}"]'


def _string(value: str) -> str:
    if _len(value) > MOST_CHARACTERS:
        raise Unencodable(f"a string of more than {MOST_CHARACTERS} characters")
    return _str(encode_basestring_ascii(value))


def _bytes(tag: str, value: bytes | bytearray) -> str:
    if _len(value) > MOST_CHARACTERS:
        raise Unencodable(f"more than {MOST_CHARACTERS} bytes")
    return f'["{tag}","{value.hex()}"]'


_SCALARS: dict[Any, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: _integer,
    float: _float,
    str: _string,
    complex: lambda value: f'["c",{_float(value.real)},{_float(value.imag)}]',
    bytes: lambda value: _bytes("b", value),
    bytearray: lambda value: _bytes("B", value),
}
