"""What the tests pass to the candidate and `marshal` cannot hold: packed by the referee, unpacked by the
child.

The referee's bytes may be trusted, so the form is a tuple that begins with Ellipsis. A function of the tests
goes as a number by which the child asks for it to be called; an object of the candidate's goes back by
handle.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_DRAWN = 100_000  # values of an iterator that a test passes on

_CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
_MADE: dict[tuple[str, str], Callable[[Any], tuple[Any, ...]]] = {  # by module and class: what makes it again
    ("fractions", "Fraction"): lambda value: (value.numerator, value.denominator),
    ("decimal", "Decimal"): lambda value: (str(value),),
    ("datetime", "date"): lambda value: (value.year, value.month, value.day),
    ("datetime", "timedelta"): lambda value: (value.days, value.seconds, value.microseconds),
    ("collections", "OrderedDict"): lambda value: (list(value.items()),),
    ("collections", "Counter"): lambda value: (dict(value),),
    ("collections", "deque"): lambda value: (list(value), value.maxlen),
    ("array", "array"): lambda value: (value.typecode, value.tolist()),
    ("pathlib", "PosixPath"): lambda value: (str(value),),
    ("pathlib", "PurePosixPath"): lambda value: (str(value),),
    ("uuid", "UUID"): lambda value: (value.hex,),
    ("numpy", "ndarray"): lambda value: (value.tolist(),),
}


class Unpackable(ValueError):
    """The tests pass what is no plain data."""


def pack(value: Any, handle: Callable[[Any], int | None], function: Callable[[Any], int]) -> Any:
    """A value in the form above; Unpackable where it has none."""
    kind = type(value)
    if kind in (type(None), bool, int, float, str, complex, bytes, bytearray):
        return value
    number = handle(value)
    if number is not None:
        return (..., "handle", number)
    if kind.__name__ in _CONTAINERS and kind is _CONTAINERS[kind.__name__]:
        return (..., kind.__name__, [pack(each, handle, function) for each in value])
    if kind is dict or (kind.__module__, kind.__name__) == ("collections", "defaultdict"):
        pairs = [(pack(k, handle, function), pack(v, handle, function)) for k, v in value.items()]
        return (..., "dict", pairs)
    if kind is range:
        return (..., "range", (value.start, value.stop, value.step))
    if kind is type(...):
        return (..., "ellipsis", None)
    return _packed_other(value, handle, function)


def _packed_other(value: Any, handle: Any, function: Any) -> Any:
    kind = type(value)
    if (kind.__module__, kind.__name__) in _MADE:
        content = [pack(each, handle, function) for each in _MADE[kind.__module__, kind.__name__](value)]
        return (..., "made", (kind.__module__, kind.__name__, content))
    if kind.__module__ == "datetime":
        return (..., "moment", (kind.__name__, value.isoformat()))
    if kind.__module__ == "numpy" and hasattr(value, "item"):
        return pack(value.item(), handle, function)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (..., "tuple", [pack(each, handle, function) for each in value])
    name = str(getattr(value, "__name__", ""))
    if name and value is getattr(builtins, name, None):
        return (..., "builtin", name)
    if callable(value) and not isinstance(value, type):
        return (..., "function", function(value))
    if hasattr(value, "__next__"):
        return (..., "iterator", [pack(each, handle, function) for each in _drawn(value)])
    raise Unpackable(f"a value of type {kind.__name__}")


def _drawn(iterator: Any) -> list[Any]:
    values = []
    for each in iterator:
        values.append(each)
        if len(values) > MOST_DRAWN:
            raise Unpackable("an iterator without end")
    return values


def unpack(value: Any, objects: dict[int, Any], function: Callable[[int], Any]) -> Any:
    """The value that `pack` was given, in the child."""
    if type(value) is not tuple:
        return value
    _, tag, content = value
    if tag == "handle":
        return objects[content]
    if tag in _CONTAINERS:
        return _CONTAINERS[tag]([unpack(each, objects, function) for each in content])
    if tag == "dict":
        return {unpack(k, objects, function): unpack(v, objects, function) for k, v in content}
    if tag == "range":
        return range(*content)
    if tag == "ellipsis":
        return ...
    if tag == "builtin":
        return getattr(builtins, content)
    if tag == "function":
        return function(content)
    if tag == "iterator":
        return iter([unpack(each, objects, function) for each in content])
    if tag == "moment":
        return getattr(__import__("datetime"), content[0]).fromisoformat(content[1])
    module, name, parts = content
    name = "array" if (module, name) == ("numpy", "ndarray") else name
    return getattr(__import__(module), name)(*[unpack(each, objects, function) for each in parts])
