"""Which texts refuse, and which begin by answering the request to revise: by phrases that a recipe names.

Case, kinds of apostrophes and white space make no difference. Not covered: refusals in other words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
_AROUND = " \t\n\"'*_#>`-"


def refuses_everything(text: str, phrases: Sequence[str]) -> bool:
    """Whether every sentence of a text holds one of the phrases: nothing else is said."""
    said = _sentences(text)
    return bool(said) and all(_holds(one, tuple(phrases)) for one in said)


def begins_with_refusal(text: str, phrases: Sequence[str]) -> bool:
    """Whether the first sentence of a text holds one of the phrases."""
    return any(_holds(one, tuple(phrases)) for one in _sentences(text)[:1])


def opening_of(text: str, phrases: Sequence[str]) -> str | None:
    """The phrase that a text begins with, marks of layout aside; None: none of these."""
    plain = _plain(text).lstrip(_AROUND)
    return next((one for one in phrases if plain.startswith(_plain(one))), None)


def _sentences(text: str) -> list[str]:
    return [one for one in _SENTENCE.findall(_plain(text)) if any(map(str.isalnum, one))]


def _holds(sentence: str, phrases: tuple[str, ...]) -> bool:
    return bool(phrases) and _pattern(phrases).search(sentence) is not None


@lru_cache(maxsize=16)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w){re.escape(_plain(one))}(?!\w)" for one in phrases))


def _plain(text: str) -> str:
    lines = text.casefold().replace("\u2019", "'").split("\n")
    return "\n".join(" ".join(line.split()) for line in lines).strip()
