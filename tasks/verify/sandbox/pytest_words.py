"""The words of pytest that tests of programs use, where pytest itself cannot be: raises, approx, parametrize,
fixtures (of functions, capsys, monkeypatch), skip and fail. Written for the sandbox's referee, from pytest's
documentation; a word that is not here is a test that cannot be used.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import sys
import types
from typing import Any, NamedTuple


class Skipped(Exception):
    """A test that does not want to run."""


class Raises(contextlib.AbstractContextManager["Raises"]):
    """`with raises(ValueError, match="..."):`; afterwards `value` is the exception."""

    def __init__(self, kinds: Any, match: str | None) -> None:
        self.kinds, self.match = kinds, match
        self.value: BaseException | None = None
        self.type: type[BaseException] | None = None

    def __exit__(self, kind: Any, error: Any, _: Any) -> bool:
        if error is None:
            raise AssertionError("nothing is raised")
        if not isinstance(error, self.kinds):
            return False
        if self.match is not None and not re.search(self.match, str(error)):
            raise AssertionError(f"the exception says something else: {str(error)[:100]}")
        self.value, self.type = error, kind
        return True


def raises(kinds: Any, *arguments: Any, match: str | None = None, **keywords: Any) -> Raises:
    """The context above; or a function and its arguments, called at once."""
    context = Raises(kinds, match)
    if arguments:
        with context:
            arguments[0](*arguments[1:], **keywords)
    return context


class Approximately:
    """Equal within a share of 1e-6 or 1e-12, as pytest has it; for numbers, sequences and mappings of
    them."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:
        self.expected, self.rel, self.abs = (
            expected,
            1e-6 if rel is None else rel,
            1e-12 if abs is None else abs,
        )
        if rel is None and abs is not None:
            self.rel = 0.0

    def __eq__(self, other: object) -> bool:
        return self._near(other, self.expected)

    def _near(self, value: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            same = isinstance(value, dict) and value.keys() == expected.keys()
            return same and all(self._near(value[key], expected[key]) for key in expected)
        if isinstance(expected, list | tuple):
            same = isinstance(value, list | tuple) and len(value) == len(expected)
            return same and all(map(self._near, value, expected))
        if isinstance(value, bool) or not isinstance(value, int | float | complex) or expected != expected:
            return False
        return bool(value == expected or abs_(value - expected) <= max(self.rel * abs_(expected), self.abs))


abs_ = abs


class Captured(NamedTuple):
    """What was printed since the last look."""

    out: str
    err: str


class _Output:
    """`capsys`."""

    def __enter__(self) -> _Output:
        self._before, self._kept = sys.stdout, io.StringIO()
        sys.stdout = self._kept
        return self

    def readouterr(self) -> Captured:
        output, self._kept = self._kept.getvalue(), io.StringIO()
        sys.stdout = self._kept
        return Captured(output, "")

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._before


class _Patches(contextlib.ExitStack):
    """`monkeypatch`."""

    def setattr(self, target: Any, name: Any, value: Any = ...) -> None:
        if isinstance(target, str):
            module, _, attribute = target.rpartition(".")
            target, name, value = importlib.import_module(module), attribute, name
        self.callback(setattr, target, name, getattr(target, name))
        setattr(target, name, value)


class Fixtures(contextlib.ExitStack):
    """The values of a test's fixtures and parameters, by name, made when asked for and ended with the
    test."""

    def __init__(self, namespace: dict[str, Any], parameters: dict[str, Any]) -> None:
        super().__init__()
        self.namespace, self.values = namespace, dict(parameters)

    def value(self, name: str) -> Any:
        """The value of one fixture; KeyError where there is none of that name."""
        if name not in self.values:
            self.values[name] = self._made(name)
        return self.values[name]

    def _made(self, name: str) -> Any:
        if name in ("capsys", "monkeypatch"):
            return self.enter_context(_Output() if name == "capsys" else _Patches())
        function = self.namespace[name]
        if not getattr(function, "_ratchet_fixture", False):
            raise KeyError(name)
        value = function(**{each: self.value(each) for each in inspect.signature(function).parameters})
        if inspect.isgenerator(value):
            self.callback(next, value, None)
            return next(value)
        return value


def fixture(function: Any = None, **_: Any) -> Any:
    """Marks a function as a fixture."""
    if function is None:
        return fixture
    function._ratchet_fixture = True
    return function


def parametrize(names: Any, rows: Any, **_: Any) -> Any:
    """Keeps the rows with the function."""
    keys = [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)

    def marked(function: Any) -> Any:
        function._ratchet_rows = [*parameters_of(function), (keys, list(rows))]
        return function

    return marked


def parameters_of(function: Any) -> list[Any]:
    """What `parametrize` kept."""
    return list(getattr(function, "_ratchet_rows", ()))


def rows_of(parameters: tuple[list[str], list[Any]]) -> list[dict[str, Any]]:
    """One set of parameters after the other, by name."""
    keys, rows = parameters
    rows = [row.values if isinstance(row, Parameters) else row for row in rows]
    return [
        dict(zip(keys, row if len(keys) > 1 or isinstance(row, Row) else (row,), strict=True)) for row in rows
    ]


class Row(tuple[Any, ...]):
    """The values of `param`."""


class Parameters:
    """`pytest.param(1, 2, id="x")`."""

    def __init__(self, *values: Any, **_: Any) -> None:
        self.values = Row(values)


def _skipped(function: Any) -> Any:
    function._ratchet_skipped = True
    return function


class _Mark:
    parametrize = staticmethod(parametrize)

    def skip(self, *arguments: Any, **_: Any) -> Any:
        """A mark of a test that is not run; `xfail` is one too, which says nothing of the program."""
        return _skipped(arguments[0]) if arguments and callable(arguments[0]) else _skipped

    xfail = skip

    def skipif(self, condition: Any, *_: Any, **__: Any) -> Any:
        """The same where a condition holds."""
        return _skipped if condition else lambda function: function

    def __getattr__(self, _: str) -> Any:
        """Marks that say nothing about the verdict: slow, asyncio, timeout(5)."""
        return lambda *arguments, **__: (
            arguments[0] if arguments and callable(arguments[0]) else (lambda f: f)
        )


def skip(reason: str = "", **_: Any) -> None:
    """Ends a test without a word on the program."""
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    """Fails a test."""
    raise AssertionError(reason)


def module() -> types.ModuleType:
    """What `import pytest` gives."""
    pytest = types.ModuleType("pytest")
    words = {
        "raises": raises,
        "approx": Approximately,
        "fixture": fixture,
        "mark": _Mark(),
        "param": Parameters,
    }
    pytest.__dict__.update({**words, "skip": skip, "fail": fail, "main": lambda *_, **__: 0})
    return pytest
