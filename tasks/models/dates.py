"""Chat templates that write today's date: they write one date for a whole loop, that of its opening.

Champion and challenger would else be asked different prompts, and a training would see others than were
asked. The date is a variable of the process and of those it starts; without one it is today's, in UTC.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, date, datetime
from typing import Any

from schemas.errors import ModelError

DATE = "RATCHET_TEMPLATE_DATE"
_CALL = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<form>.*?)(?P=quote)\s*\)")
_OTHER = re.compile(r"strftime_now\s*\(")


def use_date(day: date | None) -> None:
    """The date that templates write from now on; None: today's."""
    if day is None:
        os.environ.pop(DATE, None)
    else:
        os.environ[DATE] = day.isoformat()


def template_date() -> date:
    """The date that templates write."""
    value = os.environ.get(DATE)
    try:
        return date.fromisoformat(value) if value else datetime.now(UTC).date()
    except ValueError:
        raise ModelError(f"{DATE} is {value!r}: give a date as 2026-01-31") from None


def writes_date(template: Any) -> bool:
    """Whether a chat template, or one of several, writes today's date."""
    texts = template.values() if isinstance(template, dict) else (template,)
    return any(isinstance(text, str) and _OTHER.search(text) for text in texts)


def dated(template: Any) -> Any:
    """A chat template, or several by name, with the date in the place of today's."""
    if isinstance(template, dict):
        return {name: dated(text) for name, text in template.items()}
    if not isinstance(template, str) or not writes_date(template):
        return template
    day = template_date()
    fixed = _CALL.sub(lambda call: json.dumps(day.strftime(call["form"])), template)
    if _OTHER.search(fixed):
        raise ModelError(
            "the chat template writes today's date in a form that cannot be read: no date is fixed"
        )
    return fixed
