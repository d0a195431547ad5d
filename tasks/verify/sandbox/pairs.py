"""Tests that are inputs and outputs: a whole program's standard input and output, or a function's arguments
and value in JSON, as APPS and LiveCodeBench have them.

Printed output is the expected one where their lines are the same, spaces at the ends and empty lines at the
end apart; a line may differ where both hold as many numbers and the numbers are equal (1.0 and 1). A value
is the expected one as in any test, with tuples as lists.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from tasks.verify.sandbox import strict
from tasks.verify.sandbox.conversation import Conversation, Final
from tasks.verify.sandbox.remote import Missing, Remote

Outcome = tuple[str, str, float | None]


def examine(job: dict[str, Any], talk: Conversation) -> Outcome:
    """The outcome over all pairs; only where the share is asked for are those after a failure run too."""
    function = job["function"]
    name = (function or "").rpartition(".")[2]
    order = {key: job[key] for key in ("rung", "limits", "view", "root", "prompt", "text")}
    order |= {"wanted": (name,) if function else (), "whole": not function}
    try:
        names = talk.order(order)
    except Exception as error:
        return "fail", f"the program does not load: {type(error).__name__}: {error}"[:200], 0.0
    proxy = _function(names, name, talk) if function else None
    passed_count, why = 0, ""
    for place, (input_text, expected) in enumerate(job["pairs"], start=1):
        try:
            problem = (
                _printed(talk, input_text, expected)
                if proxy is None
                else _valued(proxy, input_text, expected)
            )
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"[:200]
        passed_count += not problem
        why = why or (f"test {place}: {problem}" if problem else "")
        if problem and not job["share"]:
            break
    if not why:
        return "pass", "every test holds", 1.0
    share = passed_count / len(job["pairs"]) if job["share"] else 0.0
    return "fail", f"{passed_count} of {len(job['pairs'])} tests hold; {why}" if job["share"] else why, share


def _function(names: list[Any], name: str, talk: Conversation) -> Any:
    values = {each[0]: each[2] for each in names if each[1] == "value"}
    return values.get(name, Missing(name, talk.missing))


def _printed(talk: Conversation, input_text: str, expected: str) -> str:
    """Why a whole program's output is not the expected one; empty where it is."""
    output = talk.run_whole(input_text if input_text.endswith("\n") or not input_text else f"{input_text}\n")
    if not isinstance(output, str):
        raise Final("tampered", "the program forged its output")
    return "" if same_output(output, expected) else f"it prints {output[:60]!r}"


def _valued(function: Any, arguments_json: str, expected_json: str) -> str:
    """Why a function's value is not the expected one; empty where it is."""
    arguments = json.loads(arguments_json)
    value = function(*arguments)
    listed = _listed(value)
    return "" if strict.equal(listed, json.loads(expected_json)) else f"it gives {str(value)[:60]!r}"


def _listed(value: Any) -> Any:
    if isinstance(value, Remote):
        return value
    if isinstance(value, list | tuple):
        return [_listed(each) for each in value]
    if isinstance(value, dict):
        return {
            (key if isinstance(key, str) else json.dumps(key)): _listed(each) for key, each in value.items()
        }
    return value


def same_output(output: str, expected_text: str) -> bool:
    """Whether two outputs are the same, by the rule above."""
    lines, expected = _lines(output), _lines(expected_text)
    return len(lines) == len(expected) and all(map(_same_line, lines, expected))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.replace("\r\n", "\n").rstrip().split("\n")]


def _same_line(line: str, expected_line: str) -> bool:
    if line == expected_line:
        return True
    parts, expected = line.split(), expected_line.split()
    if len(parts) != len(expected):
        return False
    return all(
        a == b or (_number(a) is not None and _number(a) == _number(b))
        for a, b in zip(parts, expected, strict=True)
    )


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text) if len(text) < 400 else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None
