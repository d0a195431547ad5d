"""Drops invented texts whose form is not a prompt's: Self-Instruct's and Alpaca's rules, and a few more.

Not covered: whether a prompt makes sense, or can be answered. A form says nothing of that.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

import polars as pl
from pydantic import Field

from schemas.job import Positive, Strict
from tasks.filter.decision import decide
from tasks.filter.rouge import words
from tasks.models.neutral import unmarked, visible

_HEADING = re.compile(
    r"^[^\w\n]*(?:request|task|instruction|example|prompt|story|question)\s*(?:\d+\s*)?:|^[^\S\n]*###(?!#)",
    re.I | re.M,
)
"""A line that begins a prompt in the frames that models know: a text that holds one is not one prompt.

No signs are read from two beginnings or shared out between two repeats: the work grows with the text alone.
"""
_FIRST_OF_MANY = re.compile(r"1\s?[.):]\s")


class Form(Strict):
    """What an invented prompt must look like; lengths in words between spaces (Self-Instruct: 4 to 150)."""

    least_words: Positive = 4
    most_words: Positive = 150
    one_line: bool = Field(False, description="whether it may have one line only")
    one_question: bool = Field(False, description="whether its only question mark must be its end")
    keywords: tuple[str, ...] = Field((), description="words of which it may hold none, in any case")
    openers: tuple[str, ...] = Field((), description="words that it may not begin with, in any case")


def well_formed(frame: pl.DataFrame, form: Form, specials: Sequence[str] = ()) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA) on texts that a model wrote (columns text, finish_reason).

    `specials` are the special tokens of the models that will read them.
    """
    rows = frame.select("text", "finish_reason").iter_rows()
    reasons = [_fault(text, form, specials) if end != "length" else "cut off" for text, end in rows]
    marked = frame.with_columns(pl.Series("fault", reasons, dtype=pl.String))
    return decide(marked, "form", pl.col("fault"))


def _fault(text: str, form: Form, specials: Sequence[str]) -> str | None:
    """What is wrong with a text, the first that is found; None where nothing is."""
    count = len(text.split())
    if not count:
        return "empty"
    if not _harmless(text, specials):
        return "special tokens or unseen characters"
    if _several(text, form):
        return "not one prompt"
    if count < form.least_words:
        return f"shorter than {form.least_words} words"
    if count > form.most_words:
        return f"longer than {form.most_words} words"
    return _opening_fault(text, form) or _content_fault(text, form)


def _harmless(text: str, specials: Sequence[str]) -> bool:
    try:
        return unmarked(visible(text), specials) == text
    except ValueError:
        return False


def _several(text: str, form: Form) -> bool:
    if form.one_line and "\n" in text:
        return True
    if form.one_question and text.count("?") > 1:
        return True
    return _HEADING.search(text) is not None or _FIRST_OF_MANY.match(text) is not None


def _opening_fault(text: str, form: Form) -> str | None:
    if not text[0].isascii():
        return "begins with no ASCII character"
    if text[0] in string.punctuation:
        return "begins with punctuation"
    opener = next((one for one in form.openers if _holds(text, one, begins=True)), None)
    return None if opener is None else f"begins with {opener!r}"


def _content_fault(text: str, form: Form) -> str | None:
    if not words(text):
        return "no word of letters or digits"
    if form.one_question and not text.endswith("?"):
        return "no question at its end"
    keyword = next((one for one in form.keywords if _holds(text, one)), None)
    return None if keyword is None else f"keyword {keyword!r}"


def _holds(text: str, phrase: str, *, begins: bool = False) -> bool:
    """Whether a text holds a phrase as whole words, in any case; at its beginning where that is asked."""
    pattern = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.I)
    return (pattern.match(text) if begins else pattern.search(text)) is not None
