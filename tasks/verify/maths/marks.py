"""Finds the final answer that a solution marks: the phrase after the marker that stands last in the text.

Markers: `#### 12`, `A: 12` on the last line, "the answer is 12", "Answer: 12", `\\boxed{12}`. Without any of
them `**73**` counts where no digit follows it, and so does a text that is nothing but a number. Boxes that
hold different things are several answers, not the last one. Time is linear in the text.
"""

from __future__ import annotations

import re
from collections import deque

from tasks.verify.maths.expression import LONGEST
from tasks.verify.maths.glyphs import fold

MOST_BOXES = 32  # of one text; more is no answer

_ANSWER_IS = re.compile(
    r"answer[*_ ]{0,4}(?: to [^.:\n]{1,80}?)?(?:\s{1,4}(?:is|equals|would be|will be)\b|\s{0,4}[:=])"
    r"(?!\s{1,4}(?:correct|right|reasonable|verified)\b)[:*_\s]*+",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,4}(\{|(?=[0-9]))")
_PERCENT = re.compile(r"\}[\s$]{0,4}(?:\\?%|percent|pct)")
_BLANK = re.compile(r"(?:\\phantom\{[^{}]*\}|\\q?quad|\\[,;:! ]|[\s?_])+")
_INK = re.compile(r"\S")
_DIGIT = re.compile("[0-9]")
_SENTENCE = re.compile(r"[.!](?=\s|$)|\n|,?\s(?:because|since|which)\s", re.IGNORECASE)
_LEADING_OR = re.compile(r"\bor\W*$", re.IGNORECASE)
_BARE = re.compile(r"[^A-DF-Za-df-z\n]*[0-9][^A-DF-Za-df-z\n]*")


def marked_phrase(text: str) -> str | None:
    """The phrase after the marker that stands last in the text; None where nothing is marked."""
    start, phrase = _after_hashes(text)
    for find in (_after_letter, _after_answer_is, _in_box):
        later, found = find(text, start)
        if later > start:
            start, phrase = later, found
    if start < 0:
        return _in_bold(text) or _whole(text)
    return phrase


def _after_hashes(text: str) -> tuple[int, str]:
    start = text.rfind("####")
    return start, "" if start < 0 else _line(text, start + 4)


def _line(text: str, start: int) -> str:
    """The first line with something on it from `start` on, cut just beyond the longest phrase."""
    something = _INK.search(text, start)
    start = something.start() if something else len(text)
    return text[start : start + LONGEST + 1].partition("\n")[0]


def _after_letter(text: str, after: int) -> tuple[int, str]:
    """`A: 12`, as GSM8K's graded solutions end; only on the last line that has anything on it."""
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    if not text.startswith("A:", start):
        return -1, ""
    return start, text[start + 2 : min(end, start + 3 + LONGEST)]


def _after_answer_is(text: str, after: int) -> tuple[int, str]:
    """The last "answer is", "answer:" or "answer =" that stands after another marker."""
    if text.find("nswer", after + 1) < 0 and text.find("NSWER", after + 1) < 0:
        return -1, ""
    last = deque(_ANSWER_IS.finditer(text, after + 1), maxlen=1)
    if not last:
        return -1, ""
    found = last[0]
    phrase = text[found.end() : found.end() + LONGEST + 1]
    return found.start(), _SENTENCE.split(phrase, maxsplit=1)[0]


def _in_box(text: str, after: int) -> tuple[int, str]:
    """What the last box holds."""
    start = max(text.rfind("\\boxed", after + 1), text.rfind("\\fbox", after + 1))
    held = _held(text, start) if start >= 0 else None
    return (-1, "") if held is None else (start, held)


def _held(text: str, start: int) -> str | None:
    """What a box holds, up to the brace that closes it; "" where none does, None where no box starts."""
    found = _BOXED.match(text, start)
    if not found:
        return None
    depth, begin = 1, found.end()
    if not found[1]:
        return re.split(r"[\s$]", text[begin : begin + LONGEST + 1], maxsplit=1)[0]
    for place, character in enumerate(text[begin : begin + LONGEST + 2]):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[begin : begin + place]
    return ""


def boxes(text: str) -> list[str] | None:
    """What each box of a text holds, blanks to fill in apart; None where there are more than MOST_BOXES."""
    count = text.count("\\boxed") + text.count("\\fbox")
    if count == 0 or count > MOST_BOXES:
        return None if count else []
    held = [_held(text, found.start()) or "" for found in _BOXED.finditer(text)]
    return [each for each in held if not _BLANK.fullmatch(each)]


def percent_follows(text: str) -> bool:
    """Whether a percent sign stands behind the last box: \\boxed{28}\\%."""
    start = text.rfind("boxed{")
    held = _held(text, text.rfind("\\", 0, start)) if start >= 0 else None
    return bool(held and _PERCENT.match(text, start + len("boxed{") + len(held)))


def _in_bold(text: str) -> str | None:
    """The last **phrase**, where it holds a digit and no digit follows it."""
    end = text.rfind("**")
    start = text.rfind("**", 0, max(end, 0))
    if start < 0 or end - start > LONGEST or _DIGIT.search(text, end):
        return None
    phrase = _alternative(text, start) + text[start + 2 : end]
    return phrase if _DIGIT.search(fold(phrase, " {}")) else None


def _alternative(text: str, start: int) -> str:
    """ "or " where that word leads to a marked phrase: **12** or **13** is two answers, not the last."""
    return "or " if _LEADING_OR.search(text, max(start - 20, 0), start) else ""


def _whole(text: str) -> str | None:
    """The whole text, where it is nothing but a number and signs."""
    bare = text.strip() if len(text) <= LONGEST else ""
    return bare if _BARE.fullmatch(fold(bare, " {}")) else None
