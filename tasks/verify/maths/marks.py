"""Finds the final answer that a solution marks, after its reasoning (`layout.py`).

In this order: its boxes (`boxes.py`), which no prose overrules; `#### 12`, where that is no heading; `A: 12`
on the last line; "the answer is 12", "Answer: 12" and the like, the last of them; a JSON object with an
answer; `**73**` where no digit follows it; what `unmarked.py` takes. Time is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.verify.maths.boxes import Boxed, has_box, read_boxes
from tasks.verify.maths.expression import LONGEST
from tasks.verify.maths.glyphs import fold
from tasks.verify.maths.layout import has_tag, in_answer_tag, in_json, without_reasoning
from tasks.verify.maths.markers import marks_in
from tasks.verify.maths.unmarked import unmarked
from tasks.verify.maths.words import may_lead

_HEADING = re.compile(
    r"\s*(?:[0-9]{1,2}[.)]\s+[A-Z]|(?!minus|negative|Rs\b|approx|about|not\b|yes|no\b|true|false)[A-Za-z]{2,}[^=]*[0-9:])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\s*[0-9]{1,2}[.)]\s+[A-Za-z]{2}")
_INK = re.compile(r"\S")
_DIGIT = re.compile("[0-9]")
_DISPLAY = re.compile(
    r"\s*(?:\\\[(.*?)\\\]|\$\$(.*?)\$\$|(?:```|~~~)[a-z]*\n(.*?)(?:```|~~~)"
    r"|\\begin\{(?:equation|align|gather|displaymath)\*?\}(.*?)\\end\{|(?:\*\*)?([^\n]*))",
    re.DOTALL,
)
_SENTENCE = re.compile(
    r"[.!](?=\s|$)|[。\uff01]|\n|,?\s(?:and\s)?not\s(?=[-$\\(*]*(?:[0-9]|[A-J]\b))|\s\((?=not\s)"
    r"|,?\s(?:because|since|which|in\stotal|altogether)\b|,\s(?:so|as|i\.e\.,?|that\sis|it|and\s(?:so|not|the)|therefore|hence|meaning|with)\s|;\s(?=[A-Za-z0-9]+\s[a-z])"
    r"|\s\((?=[a-z]{2})(?!pi|sqrt|sin|cos|tan|log|ln|exp)(?=[^()\n]{0,80}\)\s*$)",
    re.IGNORECASE,
)
_REASON = re.compile(r",?\s(?:because|since|as)\s|\s\((?:as|see|from|because|since)\s", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\b(?:if|whether|unless|once|when|suppos(?:e|ing)|assum(?:e|ing)|think|thought|claims?|guess(?:ed)?)(?:\s+that)?"
    r"(?:\s+(?:the|my|your|our|this|an?))?(?:\s+(?:final|correct|right))?\s+$",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(r"not\s+\S{1,30}\s+but\s+(?:rather\s+)?")
_STRUCK = re.compile(r"(?<![~\S])~~(?=\S)[^~\n]{1,200}(?<=\S)~~(?![~\w])")
_BULLET = re.compile(r"[-*+>]\s+")
_LEADING_OR = re.compile(r"\bor\W*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Marked:
    """What a solution marks: the boxes that count, or a phrase, or `why` there is neither."""

    phrase: str | None = None
    boxes: Boxed | None = None
    why: str = ""


def find_mark(text: str) -> Marked:
    """The marked answer of a solution."""
    if not has_tag(text):
        return _mark_in(text)
    text = without_reasoning(text)
    tagged = in_answer_tag(text)
    if tagged is None:
        return _mark_in(text)
    inner = _mark_in(tagged)
    if inner.phrase is None and inner.boxes is None and tagged.strip() and len(tagged) <= LONGEST:
        return Marked(tagged.strip())
    return inner


def _mark_in(text: str) -> Marked:
    if "~~" in text:
        text = _STRUCK.sub(" ", text)
    json_answer = in_json(text)
    if json_answer is not None:
        return _mark_in(json_answer) if has_box(json_answer) else Marked(json_answer)
    boxed = read_boxes(text) if has_box(text) else None
    hashed = _after_hashes(text)
    if boxed is not None:
        if hashed is not None and hashed[1] and boxed.content and not boxed.why and not has_box(hashed[0]):
            return Marked(boxes=Boxed(tuple(dict.fromkeys((*boxed.content, hashed[0]))), "", boxed.percent))
        return Marked(boxes=boxed)
    if hashed is not None:
        return Marked(hashed[0])
    phrase = _after_letter(text)
    if phrase is None:
        phrase = _after_answer_is(text)
    if phrase is None:
        phrase = _in_bold(text) or unmarked(text)
    return Marked(phrase)


def _after_hashes(text: str) -> tuple[str, bool] | None:
    """The line after the last ####, where it is no heading, and whether nothing follows it."""
    start = text.rfind("####")
    while start >= 0:
        begins = start
        while begins > 0 and text[begins - 1] == "#":
            begins -= 1
        if start - begins == 0:
            line = _line(text, start + 4)
            end = text.find("\n", start + 4)
            last = end < 0 or not _INK.search(text, end) or not text[start + 4 : end].strip()
            if not _is_heading(line) and (last or (_DIGIT.search(line) and not _NUMBERED.match(line))):
                return _REASON.split(line.rstrip().removesuffix("####"), maxsplit=1)[0], last
        start = text.rfind("####", 0, begins) if begins else -1
        if len(text) - start > 20_000_000:
            return None
    return None


def _is_heading(line: str) -> bool:
    """Whether a line after #### names a part of the text: words before a number that do not lead to it."""
    digit = _DIGIT.search(line)
    lead = line[: digit.start()] if digit else ""
    return _HEADING.match(line) is not None and not (lead.strip() and may_lead(lead))


def _line(text: str, start: int) -> str:
    """The first line with something on it from `start` on, cut just beyond the longest phrase."""
    something = _INK.search(text, start)
    start = something.start() if something else len(text)
    return text[start : start + LONGEST + 1].partition("\n")[0]


def _after_letter(text: str) -> str | None:
    """`A: 12`, as GSM8K's graded solutions end; only on the last line that has anything on it."""
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    if not text.startswith("A:", start):
        return None
    return text[start + 2 : min(end, start + 3 + LONGEST)]


def _after_answer_is(text: str) -> str | None:
    """What the last "answer is", "answer:" or "answer =" states, on its line or displayed below."""
    last = None
    for each in marks_in(text):
        before = text[max(0, each.start() - 30) : each.start()]
        if not _SUPPOSED.search(before) and not (last and before.lower().endswith("this ")):
            last = each
    if last is None:
        return None
    start = last.end()
    phrase = text[start : start + LONGEST + 1]
    if "\n" in last["gap"]:
        phrase = _BULLET.sub("", phrase, count=1)
    display = _DISPLAY.match(phrase)
    if display and any(display.groups()[:-1]):
        return next(group for group in display.groups() if group).strip()
    phrase = _NOT_BUT.sub("", phrase, count=1)
    phrase = _SENTENCE.split(phrase, maxsplit=1)[0].rstrip()
    if not phrase.endswith("]") or "[" in phrase:
        return phrase
    return phrase[:-1].removesuffix("\\")


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
