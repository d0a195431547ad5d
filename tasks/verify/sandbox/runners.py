"""Finds and runs what a test runner would: pytest's functions and classes, and unittest's."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any

from tasks.verify.sandbox import pytest_words, strict

Test = tuple[str, Callable[[], Any]]


class Unrunnable(Exception):
    """A test that needs what is not here."""


def found_tests(names: Iterable[str], namespace: dict[str, Any]) -> Iterator[Test]:
    """Each test among the names that a test has bound, and how it is run."""
    for name in names:
        value = namespace.get(name)
        if inspect.isfunction(value):
            yield from _cases(name, value, namespace)
        elif inspect.isclass(value) and _is_unittest(value):
            yield from _methods_of_unittest(value)
        elif inspect.isclass(value) and name.startswith("Test"):
            yield from _methods(value, namespace)


def prepare_unittest(namespace: dict[str, Any]) -> None:
    """Equality in unittest as strict as in an assert; `unittest.main()` does nothing, its tests are found."""
    import unittest

    def assert_equal(self: Any, first: Any, second: Any, msg: Any = None) -> None:
        if not strict.equal(first, second):
            self.fail(msg or f"{first!r:.60} != {second!r:.60}")

    for name in ("assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual"):
        setattr(unittest.TestCase, name, assert_equal)
    unittest.main = lambda *_, **__: None  # type: ignore[assignment]


def _is_unittest(kind: type) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(kind, unittest.TestCase)


def _methods_of_unittest(kind: Any) -> Iterator[Test]:
    import unittest

    for method in unittest.defaultTestLoader.getTestCaseNames(kind):
        yield f"{kind.__name__}.{method}", unittest.TestSuite([kind(method)]).debug


def _methods(kind: Any, namespace: dict[str, Any]) -> Iterator[Test]:
    if getattr(kind, "_ratchet_skipped", False):
        return
    for method in [each for each in vars(kind) if each.startswith("test")]:
        subject = kind()
        for name, run in _cases(f"{kind.__name__}.{method}", getattr(subject, method), namespace):
            yield name, partial(_between, subject, run)


def _between(subject: Any, run: Callable[[], Any]) -> None:
    getattr(subject, "setup_method", lambda *_: None)(*_given(subject, "setup_method"))
    try:
        run()
    finally:
        getattr(subject, "teardown_method", lambda *_: None)(*_given(subject, "teardown_method"))


def _given(subject: Any, name: str) -> tuple[Any, ...]:
    method = getattr(subject, name, None)
    return (None,) * len(inspect.signature(method).parameters) if method else ()


def _cases(name: str, function: Any, namespace: dict[str, Any]) -> Iterator[Test]:
    """One test for each set of parameters."""
    if getattr(function, "_ratchet_skipped", False):
        yield name, pytest_words.skip
        return
    rows = [pytest_words.rows_of(each) for each in pytest_words.parameters_of(function)]
    for values in product(*rows):
        parameters = {key: value for part in values for key, value in part.items()}
        yield name, partial(_run, function, parameters, namespace)


def _run(function: Any, values: dict[str, Any], namespace: dict[str, Any]) -> None:
    """One test function with its parameters and fixtures."""
    with pytest_words.Fixtures(namespace, values) as fixtures:
        arguments = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if name in values or parameter.default is inspect.Parameter.empty:
                try:
                    arguments[name] = fixtures.value(name)
                except KeyError:
                    raise Unrunnable(f"the test needs the fixture {name!r}") from None
        value = function(**arguments)
        if inspect.iscoroutine(value):
            import asyncio

            asyncio.run(value)
