"""Values for a model's chat template as a user gives them: `{enable_thinking: false}`."""

from __future__ import annotations

import json
import keyword
import re
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

MOST, LONGEST, DEEPEST = 32, 10_000, 8
"""Names, characters of all of them as JSON, and levels of lists and objects."""
OWN = frozenset(
    {"messages", "add_generation_prompt", "continue_final_message", "tools", "documents", "raise_exception"}
    | {"strftime_now", "namespace", "dict", "range", "loop", "self", "true", "false", "none"}
)
"""What every template has already."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def _usable(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The values; ValueError where a name is a template's own or none, or they are too many or too deep."""
    for name in values:
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(f"{name[:40]!r} is no name that a chat template can read")
        if name in OWN or name.endswith("_token"):
            raise ValueError(f"{name} is what a chat template has already: it cannot be given")
    deepest = max((_depth(value) for value in values.values()), default=0)
    if len(values) > MOST or deepest > DEEPEST or len(as_json(values)) > LONGEST:
        raise ValueError(f"at most {MOST} names, {DEEPEST} levels and {LONGEST:,} characters are taken")
    return values


def as_json(values: dict[str, JsonValue]) -> str:
    """The values as JSON without spaces, in their order: a template may write them in it."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _depth(value: JsonValue) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


EndOfTurn = Annotated[str, Field(min_length=1, max_length=200)]
TemplateValues = Annotated[dict[str, JsonValue], AfterValidator(_usable)]
"""The value of a recipe: names and values of JSON."""
