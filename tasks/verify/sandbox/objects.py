"""The child's side of handles: the candidate's own objects, which stay here, and what may be asked of them.

A function, a class, an instance of one, a generator or a coroutine has a number in a table; the referee asks
for a call, an attribute, an item, the next values. The table keeps all of them alive, up to a bound. Whether
two objects are equal is the referee's matter: it asks for their state, and believes an `__eq__` of the
candidate's own only where that tells a changed copy from the original (`discerns`).
"""

from __future__ import annotations

import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MOST_OBJECTS = 100_000
_MODULES = ("candidate", "__main__")
_FUNCTIONS = (types.FunctionType, types.MethodType)
_PLAIN = (int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)


class TooMany(Exception):
    """More objects than the table may hold."""


class Objects:
    """The table; `named` are the names of the candidate's that the tests use."""

    def __init__(self, named: Iterable[str]) -> None:
        self.named = frozenset(named)
        self.by_number: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}

    def keep(self, value: Any) -> str | None:
        """The JSON text of a handle for what stays here; None for any other value."""
        kind = self._kind(value)
        if kind is None:
            return None
        number = self._numbers.get(id(value))
        if number is None:
            if len(self.by_number) >= MOST_OBJECTS:
                raise TooMany(f"more than {MOST_OBJECTS} objects")
            number = len(self.by_number)
            self.by_number[number], self._numbers[id(value)] = value, number
        about = value if kind in ("class", "exception") else type(value)
        names = [each.__name__ for each in about.__mro__][:20]
        class_names = ",".join(f'"{each}"' for each in names if each.isidentifier() and each.isascii())
        own = "named" if about.__name__ in self.named else ""
        return f'["h",{number},"{kind}","{own}",[{class_names}]]'

    def _kind(self, value: Any) -> str | None:
        kind = type(value)
        if isinstance(value, type):
            if value.__module__ not in _MODULES:
                return None
            return "exception" if issubclass(value, BaseException) else "class"
        if kind in _FUNCTIONS or kind.__module__ == "functools":
            return "function"
        if issubclass(kind, types.BuiltinMethodType):
            return None if isinstance(value.__self__, types.ModuleType | type(None)) else "function"
        if kind is types.CoroutineType:
            return "coroutine"
        if kind is types.AsyncGeneratorType:
            return "stream"
        if hasattr(kind, "__next__"):
            return "iterator"
        if kind.__module__ in ("re", "contextlib"):  # a match, a pattern, a context
            return "object"
        if kind.__module__ not in _MODULES or (kind.__name__ not in self.named and issubclass(kind, _PLAIN)):
            return None
        return "object"


def state(value: Any) -> dict[str, Any]:
    """An object's attributes by name, those that a dataclass compares by where it is one."""
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name, field in fields.items() if field.compare}
    slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def plain(value: Any) -> Any:
    """What an object is as one of the built-in types that its class extends; raises TypeError where none."""
    for base in type(value).__mro__[1:]:
        if base in (int, float, str, complex):
            return {int: int.__int__, float: float.__float__, str: str.__str__, complex: complex}[base](value)
        if base in (list, tuple, set, frozenset):
            return base(base.__iter__(value))
        if base is dict:
            return dict(dict.items(value))
    raise TypeError("no plain value")


def equals(value: Any, other: Any) -> bool:
    """What the candidate's own `__eq__` says, where it has one that tells things apart."""
    own: Any = type(value).__eq__
    if own is object.__eq__ or hasattr(type(value), "__dataclass_fields__"):
        return False
    return (value == other) is True and discerns(value)


def discerns(value: Any) -> bool:
    """Whether an object differs, by its own `__eq__`, from a copy in which one attribute is another."""
    import copy

    for name, now in state(value).items():
        changed = copy.copy(value)
        try:
            object.__setattr__(changed, name, _another(now))
            if (value == changed) is not True:
                return True
        except Exception:
            return True
    return False


def _another(value: Any) -> Any:
    if isinstance(value, int | float | complex):
        return value + 1
    if isinstance(value, str):
        return value + "'"
    if isinstance(value, list):
        return [*value, 1]
    return object()


def advance(value: Any, most: int) -> list[Any]:
    """Up to so many next values of an iterator, and whether that was the end."""
    values: list[Any] = []
    for _ in range(most):
        try:
            values.append(next(value))
        except StopIteration:
            return [values, True]
    return [values, False]


def send(value: Any, given: Any) -> list[Any]:
    """The next value of an iterator, of a generator after what is sent into it, and whether it had ended."""
    try:
        return [[value.send(given) if hasattr(value, "send") else next(value)], False]
    except StopIteration:
        return [[], True]


def throw(value: Any, name: str, message: str) -> list[Any]:
    """The next value of a generator into which an exception is thrown."""
    import builtins

    try:
        return [[value.throw(getattr(builtins, name, Exception)(message))], False]
    except StopIteration:
        return [[], True]


def _enter(value: Any) -> Any:
    return type(value).__enter__(value)


def _leave(value: Any) -> Any:
    return type(value).__exit__(value, None, None, None)


def _operate(name: str, *values: Any) -> Any:
    import operator

    return getattr(operator, name)(*values)


def _dataclass(value: Any, word: str, *arguments: Any) -> Any:
    import dataclasses

    if word == "fields":
        return [each.name for each in dataclasses.fields(value)]
    if word == "replace":
        return dataclasses.replace(value, **arguments[0])
    return getattr(dataclasses, word)(value)


def _reflect(name: str, value: Any, other: Any) -> Any:
    return _operate(name, other, value)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "get": getattr,
    "set": setattr,
    "drop": delattr,
    "iterate": iter,
    "next": advance,
    "length": len,
    "truth": bool,
    "text": str,
    "repr": repr,
    "within": lambda value, item: item in value,
    "operate": _operate,
    "reflect": _reflect,
    "number": lambda value, kind: {"int": int, "float": float, "complex": complex}[kind](value),
    "round": round,
    "instance": isinstance,
    "state": state,
    "plain": plain,
    "equals": equals,
    "enter": _enter,
    "leave": _leave,
    "send": send,
    "throw": throw,
    "subclass": issubclass,
    "dataclass": _dataclass,
}
"""What the referee may ask for, by name; a call has a place of its own in child.py."""
