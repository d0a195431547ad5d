"""The referee's side of handles: what stands in the tests for an object, a function or a class of the
candidate.

Every operation is a question to the child; what comes back is built again like any value. Four rules keep
comparisons the referee's own. An object equals another one by its state, and by its class's own `__eq__`
only where that tells things apart (objects.py); it never equals plain data, unless its class extends that
type and the values are equal. No plain value of the tests is shown to an operator of the candidate's, save
of a class that the tests name themselves, and then what comes out must be an object again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from tasks.verify.sandbox import strict

T = TypeVar("T")

MOST_DRAWN = 2_000_000  # values of one iterator
_BATCH = 256
_PLAIN = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)


class Asks(Protocol):
    """The conversation, as far as a proxy needs it."""

    def ask(self, what: str, target: int, *arguments: Any) -> Any:
        """What the child answers; raises as the candidate raised."""

    def call(self, target: int, arguments: tuple[Any, ...], keywords: dict[str, Any], back: bool) -> Any:
        """What a call comes to; with `back`, lists and the like among the arguments take changes over."""


class Remote:
    """An object of the candidate's: `about` is (asks, number, kind, whether the tests name its class,
    classes)."""

    __slots__ = ("_ratchet",)

    def __init__(self, about: tuple[Asks, int, str, bool, tuple[str, ...]]) -> None:
        object.__setattr__(self, "_ratchet", about)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        asks, number, *_ = self._ratchet
        return asks.call(number, arguments, keywords, False)

    def __getattr__(self, name: str) -> Any:
        return _ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "set", name, value)

    def __delattr__(self, name: str) -> None:
        _ask(self, "drop", name)

    def __iter__(self) -> Iterator[Any]:
        return iter(_ask(self, "iterate"))

    def __len__(self) -> int:
        return _of(int, _ask(self, "length"))

    def __bool__(self) -> bool:
        return _of(bool, _ask(self, "truth"))

    def __str__(self) -> str:
        return _of(str, _ask(self, "text"))

    def __repr__(self) -> str:
        return _of(str, _ask(self, "repr"))

    def __hash__(self) -> int:
        return hash(self._ratchet[4])

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Remote):
            return self is other or _same(self, other)
        return _is_plain(self, other) if isinstance(other, _PLAIN) else NotImplemented

    def __contains__(self, item: Any) -> bool:
        if not self._ratchet[3] and not isinstance(item, Remote):
            raise TypeError("an object of a class that the tests do not name is asked what it holds")
        return _of(bool, _ask(self, "within", item))

    def __getitem__(self, key: Any) -> Any:
        return _ask(self, "operate", "getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _ask(self, "operate", "setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        _ask(self, "operate", "delitem", key)

    def __enter__(self) -> Any:
        return _ask(self, "enter")

    def __exit__(self, *_: object) -> None:
        _ask(self, "leave")

    async def __aenter__(self) -> Any:
        return _ask(self, "aenter")

    async def __aexit__(self, *_: object) -> None:
        _ask(self, "aleave")

    def __aiter__(self) -> Any:
        values = _ask(self, "aiterate")
        return streamed(values._ratchet[0], values._ratchet[1]) if isinstance(values, Remote) else values

    def __int__(self) -> int:
        return _of(int, _ask(self, "number", "int"))

    def __float__(self) -> float:
        return _of(float, _ask(self, "number", "float"))

    def __complex__(self) -> complex:
        return _of(complex, _ask(self, "number", "complex"))

    def __abs__(self) -> Any:
        return _ask(self, "operate", "abs")

    def __round__(self, *digits: int) -> Any:
        if not self._ratchet[3]:
            raise TypeError("an object of a class that the tests do not name is rounded")
        return _ask(self, "round", *digits)

    def __subclasscheck__(self, kind: Any) -> bool:
        return isinstance(kind, Remote) and _of(bool, _ask(kind, "subclass", self))

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and _of(
            bool, value._ratchet[0].ask("instance", value._ratchet[1], self)
        )


def _ask(remote: Remote, what: str, *arguments: Any) -> Any:
    asks, number, *_ = remote._ratchet
    return asks.ask(what, number, *arguments)


def _of(kind: type[T], value: Any) -> T:
    if not (type(value) is kind and isinstance(value, kind)):
        raise TypeError(f"the program gives no {kind.__name__}")
    return value


def _same(left: Remote, right: Remote) -> bool:
    """Two objects of one class, with a state that is the same and says something."""
    if left._ratchet[2] != "object" or left._ratchet[4] != right._ratchet[4]:
        return False
    states = [_ask(each, "state") for each in (left, right)]
    if type(states[0]) is dict and states[0] and bool(strict.equal(*states)):
        return True
    return bool(left._ratchet[3]) and _of(bool, _ask(left, "equals", right))


def _is_plain(remote: Remote, other: Any) -> bool:
    """Equality with plain data, of an object whose class extends that type."""
    if not set(remote._ratchet[4]) & {
        "int",
        "float",
        "str",
        "complex",
        "list",
        "tuple",
        "set",
        "frozenset",
        "dict",
    }:
        return False
    return bool(strict.equal(_ask(remote, "plain"), other))


def _binary(question: str, name: str) -> Callable[[Remote, Any], Any]:
    def operation(self: Remote, other: Any) -> Any:
        if isinstance(other, Remote):
            return _ask(self, question, name, other)
        if not self._ratchet[3]:
            return NotImplemented
        value = _ask(self, question, name, other)
        return value if isinstance(value, Remote) else NotImplemented

    return operation


def _order(name: str) -> Callable[[Remote, Any], Any]:
    def operation(self: Remote, other: Any) -> Any:
        return _of(bool, _ask(self, "operate", name, other)) if isinstance(other, Remote) else NotImplemented

    return operation


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    _asked = f"{_name}_" if _name in ("and", "or") else _name
    setattr(Remote, f"__{_name}__", _binary("operate", _asked))
    setattr(Remote, f"__i{_name}__", _binary("operate", f"i{_name}"))
    setattr(Remote, f"__r{_name}__", _binary("reflect", _asked))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_name}__", _order(_name))
for _name in ("neg", "pos", "invert"):
    setattr(Remote, f"__{_name}__", lambda self, name=_name: _ask(self, "operate", name))
Remote.__doc__ = property(lambda self: _ask(self, "get", "__doc__"))  # type: ignore[assignment]


class Missing:
    """A name that the program does not bind: whatever a test does with it ends the matter, by `end`."""

    def __init__(self, name: str, end: Callable[[str], Any]) -> None:
        self.__dict__["_ratchet"] = (name, end)

    def __getattr__(self, _: str) -> Any:
        name, end = self.__dict__["_ratchet"]
        return end(name)

    def _used(self, *_: Any, **__: Any) -> Any:
        name, end = self.__dict__["_ratchet"]
        return end(name)

    __call__ = __iter__ = __len__ = __bool__ = __str__ = __eq__ = __contains__ = __getitem__ = _used
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _used
    __setitem__ = __enter__ = __instancecheck__ = __int__ = __float__ = __index__ = __abs__ = _used
    __hash__ = None  # type: ignore[assignment]


def drawn(asks: Asks, number: int) -> Iterator[Any]:
    """The values of a candidate's iterator, in growing batches, so that one without end may be begun."""
    size, count = 1, 0
    while True:
        values, ended = asks.ask("next", number, size)
        yield from values
        count += len(values)
        if ended is not False:
            return
        if count > MOST_DRAWN:
            raise OverflowError(f"more than {MOST_DRAWN} values of one iterator")
        size = min(2 * size, _BATCH)


def stepped(asks: Asks, number: int) -> Any:
    """The same one by one, for tests that send values into a generator or throw into it."""
    question: tuple[Any, ...] = ("send", None)
    while True:
        values, ended = asks.ask(question[0], number, *question[1:])
        if ended is not False or not values:
            return
        try:
            question = ("send", (yield values[0]))
        except Exception as error:
            question = ("throw", type(error).__name__, str(error))


async def streamed(asks: Asks, number: int) -> Any:
    """The values of a candidate's asynchronous iterator, one by one."""
    sent = None
    while True:
        values, ended = asks.ask("step", number, sent)
        if ended is not False or not values:
            return
        sent = yield values[0]


async def awaited(asks: Asks, number: int) -> Any:
    """What a candidate's coroutine comes to; it runs in the child, from start to end."""
    return asks.ask("await", number)
