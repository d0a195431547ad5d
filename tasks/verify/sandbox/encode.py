"""The child's side of the values: plain data as JSON in ASCII, by exact type, within bounds.

What is plain: the built-in types, the collections and the numbers, dates and arrays of the standard library,
named tuples, and numpy's arrays and numbers. A subclass of a built-in type is sent as that type's value, read
past the subclass's own methods. An object or a function of the candidate's own stays here and is sent as a
handle (objects.py). The candidate shares this process and may bend this code: whatever it then sends is only
a claim of a value, built again by decode.py.
"""

from __future__ import annotations

import sys
from _collections import OrderedDict, defaultdict, deque  # type: ignore[import-not-found]
from _json import encode_basestring_ascii  # the C half of json: json itself takes as long as a small program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEEPEST = 200  # nested containers
MOST_VALUES = 1_000_000  # in one reply, containers included
MOST_BITS = 1 << 20  # of an integer
MOST_CHARACTERS = 8 << 20  # of one string

_PLAIN_INT = 1 << 53
_SEQUENCES = {list: "l", tuple: "t", set: "s", frozenset: "z", deque: "q"}
_MAPPINGS = {dict: "d", OrderedDict: "O", defaultdict: "D"}
_VIEWS: tuple[Any, ...] = ({}.keys(), {}.values(), {}.items())
_DRAWN = frozenset(map(type, _VIEWS))

_modules, _type, _len, _repr, _hex, _str = sys.modules, type, len, repr, hex, str
_items = dict.items


class Unencodable(Exception):
    """A value that is not plain data, or that is too large or too deep to send."""


def encode(value: object, keep: Callable[[Any], str | None] | None = None) -> str:
    """A value as the text of one JSON value in ASCII; Unencodable says why not.

    `keep` gives the text of a handle for what is to stay in this process, None for what is not.
    """
    parts: list[str] = []
    _encode(value, parts, 0, keep)
    return "".join(parts)


def _encode(value: Any, parts: list[str], depth: int, keep: Any) -> None:
    if depth > DEEPEST:
        raise Unencodable(f"a value nested deeper than {DEEPEST}")
    if _len(parts) > 4 * MOST_VALUES:
        raise Unencodable(f"a value of more than {MOST_VALUES} parts")
    kind = _type(value)
    if kind in _SCALARS:
        parts.append(_SCALARS[kind](value))
    elif kind in _SEQUENCES:
        _encode_all(_SEQUENCES[kind], value, parts, depth, keep)
    elif kind in _MAPPINGS:
        _encode_mapping(_MAPPINGS[kind], value, parts, depth, keep)
    elif kind in _DRAWN:
        _encode_all("i", value, parts, depth, keep)
    elif kind is range:
        _encode_all("r", (value.start, value.stop, value.step), parts, depth, keep)
    else:
        _encode_other(value, kind, parts, depth, keep)


def _encode_other(value: Any, kind: Any, parts: list[str], depth: int, keep: Any) -> None:
    """What is plain by a look at its module or its base, and what stays here."""
    fields: Any = getattr(kind, "_fields", None)
    if tuple in kind.__mro__ and _type(fields) is tuple:
        content = (kind.__name__, [*fields], [*tuple.__iter__(value)])
        _encode_all("N", content, parts, depth, keep)
        return
    handle = keep(value) if keep is not None else None
    if handle is not None:
        parts.append(handle)
        return
    for module, name, tag, content_of in _LIBRARY:
        base = getattr(_modules.get(module), name, None)
        if base is not None and base in kind.__mro__:
            _encode_all(tag, content_of(value), parts, depth, keep)
            return
    counter = getattr(_modules.get("collections"), "Counter", None)
    for base in kind.__mro__:
        if base is counter:
            _encode_mapping("C", value, parts, depth, keep)
        elif base in _SCALARS and base in _EXACT:
            parts.append(_SCALARS[base](_EXACT[base](value)))
        elif base in _SEQUENCES:
            _encode_all(_SEQUENCES[base], base.__iter__(value), parts, depth, keep)
        elif base in _MAPPINGS:
            _encode_mapping(_MAPPINGS[base], value, parts, depth, keep)
        else:
            continue
        return
    raise Unencodable(f"a value of type {kind.__name__!r}, which is not plain data")


def _encode_all(tag: str, values: Any, parts: list[str], depth: int, keep: Any) -> None:
    parts.append(f'["{tag}"')
    for each in values:
        parts.append(",")
        _encode(each, parts, depth + 1, keep)
    parts.append("]")


def _encode_mapping(tag: str, mapping: Any, parts: list[str], depth: int, keep: Any) -> None:
    _encode_all(tag, (each for item in _items(mapping) for each in item), parts, depth, keep)


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


def _moment(value: Any) -> tuple[Any, ...]:
    """A date, time or datetime by its ISO text; a zone is kept as its offset."""
    return (value.isoformat(),)


_SCALARS: dict[Any, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: _integer,
    float: _float,
    str: _string,
    complex: lambda value: f'["c",{_float(value.real)},{_float(value.imag)}]',
    bytes: lambda value: _bytes("b", value),
    bytearray: lambda value: _bytes("B", value),
    type(...): lambda _: '["e"]',
}
_EXACT: dict[Any, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    complex: lambda value: complex(value.real, value.imag),
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytearray(memoryview(value)),
}
# Module, class, tag, and what stands for a value; a module that is not loaded can have given none.
_LIBRARY: tuple[tuple[str, str, str, Callable[[Any], tuple[Any, ...]]], ...] = (
    ("fractions", "Fraction", "F", lambda value: (value.numerator, value.denominator)),
    ("decimal", "Decimal", "M", lambda value: (str(value),)),
    ("datetime", "datetime", "Td", _moment),
    ("datetime", "date", "Ta", _moment),
    ("datetime", "time", "Tt", _moment),
    ("datetime", "timedelta", "Ts", lambda value: (value.days, value.seconds, value.microseconds)),
    ("array", "array", "A", lambda value: (value.typecode, value.tolist())),
    ("pathlib", "PurePath", "P", lambda value: (str(value),)),
    ("uuid", "UUID", "U", lambda value: (value.hex,)),
    ("numpy", "ndarray", "Y", lambda value: (value.dtype.str, [*value.shape], value.ravel().tolist())),
    ("numpy", "bool_", "y", lambda value: (value.item(),)),
    ("numpy", "number", "y", lambda value: (value.item(),)),
)
