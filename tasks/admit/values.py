"""Single values of a record: texts, numbers that stand for texts, topics and difficulties.

Errors are BadInput, one line, and name the column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from schemas.errors import BadInput
from tasks.verify.references import reference_of

LONGEST = 200_000  # characters of a question, an answer or a dialogue; longer ones are no prompts

Value = Mapping[str, Any]


def text_of(value: Value, key: str, *, blank: bool = False) -> str:
    """A text that a record must have; `blank` where it may say nothing."""
    if key not in value:
        raise BadInput(f"no {key!r}")
    text = value[key]
    if not isinstance(text, str) or not (blank or text.strip()):
        got = "" if isinstance(text, str) else f", not {_kind(text)}"
        raise BadInput(f"{key!r} must be a text that is not empty{got}")
    if len(text) > LONGEST:
        raise BadInput(f"{key!r} is longer than {LONGEST:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{key!r} is not valid Unicode") from None
    return text


def as_text(value: Any) -> Any:
    """A finite number as text; everything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    return value


def accepted_answers(answers: Sequence[Any], key: str) -> str:
    """One reference of a list of answers that are all accepted, each a text or a number."""
    texts = [text_of({key: as_text(one)}, key, blank=True) for one in answers]
    try:
        return reference_of(texts)
    except ValueError as error:
        raise BadInput(f"{key!r}: {error}") from None


def label_of(value: Value, key: str | None) -> str | None:
    """A topic or the name of a problem: a text, or a number as one."""
    label = None if key is None else as_text(value.get(key))
    if key is None or label is None or (isinstance(label, str) and not label.strip()):
        return None
    if not isinstance(label, str):
        raise BadInput(f"{key!r} must be str; --columns ROLE= leaves it unread, such as topic=")
    return text_of({key: label}, key)


def whole_of(value: Value, key: str | None) -> int | None:
    """A difficulty: a whole number, also as a text."""
    number = None if key is None else as_text(value.get(key))
    if key is None or number is None or (isinstance(number, str) and not number.strip()):
        return None
    digits = number.strip().removeprefix("-") if isinstance(number, str) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise BadInput(f"{key!r} must be int: --columns difficulty= leaves it unread")
    if len(digits) > 19 or abs(int(number)) >= 2**63:
        raise BadInput(f"{key!r} is out of range")
    return int(number)


def probability_of(value: Value, key: str | None) -> float | None:
    """How sure a choice is: a number from 0.5 to 1, also as a text; None where nothing is said."""
    given = None if key is None else value.get(key)
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.5 <= number <= 1.0:
        raise BadInput(f"{key!r} must be a number from 0.5 to 1: that chosen is the better answer")
    return number


def _kind(value: Any) -> str:
    """What a value is, as JSON calls it."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else type(value).__name__)
