"""Lines of JSONL to grade: each an object, and what a verifier or a judge reads of it.

A line that cannot be read says why, and grading gives it a verdict of its own: nothing in a line ends a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from schemas.errors import BadInput
from tasks.admit.values import accepted_answers, as_text
from tasks.models.conversation import Prompt, prompt_of, read_messages
from tasks.verify.judge.judge import JudgeInput
from tasks.verify.records import FIELDS, TESTS

LONGEST = 16 * 2**20  # bytes of one line

Read = Callable[[Mapping[str, Any]], tuple[str | None, str | None]]


class Malformed(ValueError):
    """A line that cannot be graded; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input: its number from 1, and its object, or why there is none."""

    number: int
    value: Mapping[str, Any] | None
    why: str = ""


def read_lines(stream: IO[bytes]) -> Iterator[Line]:
    """Every line of a stream, read as it is asked for; a blank one is malformed as well."""
    number = 0
    while data := stream.readline(LONGEST + 1):
        number += 1
        if len(data) > LONGEST:
            while not data.endswith(b"\n") and (data := stream.readline(LONGEST)):
                pass
            yield Line(number, None, f"longer than {LONGEST} bytes")
        else:
            yield parsed(number, data)


def parsed(number: int, data: bytes) -> Line:
    """A line as an object."""
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        return Line(number, None, "not UTF-8")
    except (ValueError, RecursionError):
        return Line(number, None, "not JSON")
    if not isinstance(value, dict):
        return Line(number, None, "an object is needed")
    return Line(number, value)


def maths_row(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """`answer` (a text or a number) and `reference` (a text, a number, or a list of accepted ones)."""
    return text_of(_in_text(value, "answer"), "answer"), _reference(value)


def program_row(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """`program` or `completion`, beside a benchmark's own fields (tasks/verify/records.py)."""
    if not set(TESTS) & set(value):
        raise Malformed("'program' and 'tests' are needed, or a benchmark's fields and 'completion'")
    if value.get("tests", [""]) == []:
        raise Malformed("'tests' must be a list of texts, one at least")
    fields = {name: value[name] for name in FIELDS if name in value}
    return text_of(value, "program" if "program" in value else "completion"), json.dumps(fields)


def judge_row(value: Mapping[str, Any]) -> JudgeInput:
    """`prompt` (a text, or messages), `answer` and, where a right answer is known, `reference`."""
    reference = _reference(value) if "reference" in value else None
    return JudgeInput(prompt_in(value), text_of(value, "answer"), reference)


def prompt_in(value: Mapping[str, Any]) -> Prompt:
    """`prompt` (a text or messages) or `messages`, the last by a user; Malformed where there is neither."""
    name = "messages" if "messages" in value and "prompt" not in value else "prompt"
    if not isinstance(value.get(name), list):
        return text_of(value, name, needed=True) or ""
    try:
        return prompt_of(read_messages(value[name]))
    except BadInput as error:
        raise Malformed(f"'{name}': {error}") from None


def _reference(value: Mapping[str, Any]) -> str | None:
    if not isinstance(answers := value.get("reference"), list):
        return text_of(_in_text(value, "reference"), "reference")
    try:
        return accepted_answers(answers, "reference")
    except BadInput as error:
        raise Malformed(str(error)) from None


def _in_text(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The same with a number as the text of it."""
    return {name: as_text(value[name])} if name in value else value


def text_of(value: Mapping[str, Any], name: str, needed: bool = False) -> str | None:
    """A field that holds a text, or null where a text is not needed; Malformed where it does not."""
    if name not in value:
        raise Malformed(f"'{name}' is missing")
    text = value[name]
    if not (isinstance(text, str) or (text is None and not needed)):
        raise Malformed(f"'{name}' must be a text")
    return text


READS: Mapping[str, Read] = {"gsm8k": maths_row, "maths": maths_row, "unit-tests": program_row}
"""How a line becomes a text and a reference, by verifier."""
