"""References of programs: how the records of benchmarks say that a program is tested.

    {"tests": ["assert ...", ...]}                               asserts, pytest's functions, unittest's
    classes
    {"tests": [{"input", "output", "testtype", "fn_name"}]}      inputs and outputs
    {"prompt", "test", "entry_point"}                            HumanEval (Chen et al. 2021, arXiv
    2107.03374)
    {"test_list", "test_setup_code", "test_imports"}             MBPP (Austin et al. 2021, arXiv 2108.07732)
    {"input_output": {"inputs", "outputs", "fn_name"}}           APPS (Hendrycks et al. 2021, arXiv
    2105.09938)
    {"public_test_cases", "private_test_cases", "metadata"}      LiveCodeBench (Jain et al. 2024, arXiv
    2403.07974)

APPS and LiveCodeBench keep their tests as JSON in a text; LiveCodeBench's private ones are packed too (a
pickled text, zlib, base64): they are unpacked by a reader that takes a text and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.verify.sandbox.run import Case

LONGEST = 64_000_000  # characters of a reference
_MOST_UNPACKED = 1 << 28  # bytes of private tests
_ENTRY_POINT = re.compile(r"[A-Za-z_]\w*(?:\(\))?(?:\.[A-Za-z_]\w*)*")

FIELDS = (
    *("tests", "prompt", "test", "entry_point", "in_place", "test_list", "test_setup_code", "test_imports"),
    *("input_output", "public_test_cases", "private_test_cases", "metadata", "fn_name", "starter_code"),
)
"""What may say how a program is tested; everything else in a record is left alone."""
TESTS = ("tests", "test", "test_list", "input_output", "public_test_cases", "private_test_cases")

Pairs = list[tuple[str, str]]


class Unusable(ValueError):
    """A reference that gives no tests; the message says why."""


def read_reference(reference: str | None, text: str, share: bool = False) -> Case:
    """The case that a reference makes of a text; Unusable where it is none."""
    if not reference or len(reference) > LONGEST:
        raise Unusable("there is none" if not reference else "it is too long")
    fields = _decoded(reference)
    if not isinstance(fields, dict):
        raise Unusable("it is not a JSON object")
    prompt, in_place = fields.get("prompt", ""), fields.get("in_place", False)
    if not isinstance(prompt, str) or not isinstance(in_place, bool):
        raise Unusable("prompt is not a text, or in_place neither true nor false")
    pairs, function = _pairs(fields)
    if pairs:
        return Case(text, pairs=tuple(pairs), function=function, share=share)
    if "test_list" in fields:
        return Case(text, _asserts(fields), share=share, in_place=in_place)
    tests, entry_point = fields.get("tests"), None
    if tests is None:
        tests, entry_point = [fields.get("test")], fields.get("entry_point")
        if not isinstance(entry_point, str) or not _ENTRY_POINT.fullmatch(entry_point):
            raise Unusable("entry_point is not a name")
    return Case(text, _texts(tests), prompt, entry_point, in_place, share=share)


def _decoded(text: Any) -> Any:
    """JSON in a text; what is no text is as it is. Unusable where the text is no JSON."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("it is not JSON") from error


def _texts(tests: Any) -> tuple[str, ...]:
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) and test for test in tests):
        raise Unusable("it has no tests")
    return tuple(tests)


def _asserts(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """MBPP's tests, each after the set-up code that it needs."""
    imports, setup = fields.get("test_imports") or [], fields.get("test_setup_code") or ""
    if not isinstance(setup, str) or not isinstance(imports, list):
        raise Unusable("test_setup_code is not a text, or test_imports not a list")
    before = "\n".join([*map(str, imports), setup]).strip()
    return (*([before] if before else []), *_texts(fields["test_list"]))


def _pairs(fields: Mapping[str, Any]) -> tuple[Pairs, str | None]:
    """The inputs and outputs of a record, and the name of the function that they test, if any."""
    if "input_output" in fields:
        return _of_apps(_decoded(fields["input_output"]))
    tests = fields.get("tests")
    if "tests" not in fields and {"public_test_cases", "private_test_cases"} & set(fields):
        public = _decoded(fields.get("public_test_cases") or [])
        tests = [*_listed(public), *_listed(_private(fields.get("private_test_cases") or []))]
    if not isinstance(tests, list) or not tests or not all(isinstance(test, dict) for test in tests):
        return [], None
    about = _decoded(fields.get("metadata") or {})
    names = [test.get("fn_name") or (test.get("metadata") or {}).get("func_name") for test in tests]
    function = next((each for each in (*names, fields.get("fn_name")) if each), None)
    function = function or (about.get("func_name") if isinstance(about, dict) else None)
    functional = any(test.get("testtype") == "functional" for test in tests) or (
        bool(function) and all(test.get("testtype") != "stdin" for test in tests)
    )
    if not functional:
        return [(_text(test, "input"), _text(test, "output")) for test in tests], None
    return [(_arguments(_text(test, "input")), _text(test, "output")) for test in tests], _name(function)


def _of_apps(record: Any) -> tuple[Pairs, str | None]:
    if not isinstance(record, dict):
        raise Unusable("input_output is not an object")
    inputs, outputs = record.get("inputs"), record.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or not len(inputs) == len(outputs) > 0:
        raise Unusable("input_output has no inputs, or not as many outputs")
    if record.get("fn_name"):
        function = _name(record["fn_name"])
        return [(_arguments(a), _value(b)) for a, b in zip(inputs, outputs, strict=True)], function
    return [(_lines(a), _lines(b)) for a, b in zip(inputs, outputs, strict=True)], None


def _name(function: Any) -> str:
    if not isinstance(function, str) or not _ENTRY_POINT.fullmatch(function):
        raise Unusable("the tested function has no name")
    return function


def _lines(value: Any) -> str:
    """A text, or its lines."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _arguments(value: Any) -> str:
    """A call's arguments as one JSON list: LiveCodeBench writes one a line, APPS a list."""
    if isinstance(value, list):
        return json.dumps(value)
    try:
        return json.dumps([json.loads(line) for line in str(value).split("\n") if line.strip()])
    except ValueError as error:
        raise Unusable("the arguments of a test are not JSON") from error


def _value(value: Any) -> str:
    """An expected value; APPS puts some of them into a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return json.dumps(value)


def _text(test: Mapping[str, Any], name: str) -> str:
    if not isinstance(test.get(name), str):
        raise Unusable(f"a test's {name} is not a text")
    return str(test[name])


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Unusable("its test cases are not a list")
    return value


class _TextOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no text")


def _private(value: Any) -> Any:
    """LiveCodeBench's private tests: JSON, or JSON that is packed."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return _decoded(value)
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(value, validate=True), _MOST_UNPACKED)
        return _decoded(_TextOnly(io.BytesIO(content)).load())
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, IndexError, ValueError) as error:
        raise Unusable("its private test cases cannot be unpacked") from error
