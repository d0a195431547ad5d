"""Where a stop string cuts an answer's text, whichever engine wrote it."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, stop: Sequence[str]) -> str | None:
    """The text before the first stop string in it; None where it holds none."""
    places = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(places)] if places else None
