"""Finds the final answer that a solution marks, after its reasoning (`layout.py`).

In this order: its boxes (`boxes.py`), which no prose overrules; `#### 12`, where that is no heading; `A: 12`
on the last line; "the answer is 12", "Answer: 12" and the like, the last of them; a JSON object with an
answer; `**73**` where no digit follows it; a text that is nothing but a number. Time is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.verify.maths.boxes import Boxed, has_box, read_boxes
from tasks.verify.maths.expression import LONGEST
from tasks.verify.maths.glyphs import fold
from tasks.verify.maths.layout import has_tag, in_answer_tag, in_json, without_reasoning
from tasks.verify.maths.words import may_lead

_ANSWER_IS = re.compile(
    r"""(?:(?<![A-Za-z])(?:answer|(?:correct|right|best)\s{1,4}(?:option|choice)|option
    |final\s{1,4}(?:result|value))[*_ ]{0,4}
    (?:\ to\ [^.:\n]{1,80}?)?(?:\s{1,4}(?:is|equals|would\ be|will\ be)\b|\s{0,4}[:=]|[*_]{2}\s{0,4}(?=\n)
        |\s{1,4}(?:should|must)\ be\b(?=[:\s*]{1,4}[-$\\(]{0,3}[0-9A-J\\]))
    |(?<![A-Za-z])ans(?=\.?\s{0,4}[:=])\.?\s{0,4}[:=]
    |(?<![^\n])(?:\#{1,6}\s{1,4})?(?:the\s)?(?:final\s{1,4})?answer\s{0,4}(?=\n)
    |(?:R[ée]ponse|Antwort|Respuesta|Risposta|Resposta|Ответ|Lösung|Svar|Antwoord|Odpowiedź|Cevap)(?:\s{1,4}(?:correcta|correcte|finale?|corretta))?(?:\s{1,4}(?:es|ist|est|è|é|är|is|to)\b|\s{0,4}(?:[:=]|\*\*:|:\*\*))
    |(?:答案|答|答え|정답|回答|最终答案)(?:\s{0,4}(?:[:\uff1a=]|[为是][:\uff1a]?|は|은|는)))
    (?!\s{1,4}(?:(?:correct|right|reasonable|verified|confirmed|consistent|rounded|obvious|even|odd)\b
        |(?:positive|negative)\b(?!\s+[0-9$\\])|an?\s+(?:positive|whole|integer|even|odd|prime|perfect)\b
        |in\s+(?!total|all)[a-z]{3,}(?![^.\n]*[0-9])))(?P<gap>[:*_\s]*+)""",
    re.IGNORECASE | re.VERBOSE,
)
_WORDS_OF_MARKS = re.compile(
    "answer|ans\\.?\\s*[:=]|option|choice|final|ponse|Antwo|espuesta|isposta|esposta|Ответ|sung|Svar|Odpow|Cevap|答|답",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"\s*(?:[0-9]{1,2}[.)]\s+[A-Z]|(?!minus|negative|Rs\b|approx|about|not\b|yes|no\b|true|false)[A-Za-z]{2,}[^=]*[0-9:])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\s*[0-9]{1,2}[.)]\s+[A-Za-z]{2}")
_INK = re.compile(r"\S")
_DIGIT = re.compile("[0-9]")
_DISPLAY = re.compile(r"\s*(?:\\\[(.*?)\\\]|\$\$(.*?)\$\$|```[a-z]*\n(.*?)```|(?:\*\*)?([^\n]*))", re.DOTALL)
_SENTENCE = re.compile(
    r"[.!](?=\s|$)|\n|,?\s(?:because|since|which|in\stotal|altogether)\b|,\s(?:so|as|i\.e\.,?|that\sis|it|and\s(?:so|not|the)|therefore|hence|meaning|with)\s|;\s(?=[A-Za-z0-9]+\s[a-z])"
    r"|\s\((?=[a-z]{2})(?!pi|sqrt|sin|cos|tan|log|ln|exp)(?=[^()\n]{0,80}\)\s*$)",
    re.IGNORECASE,
)
_REASON = re.compile(r",?\s(?:because|since|as)\s|\s\((?:as|see|from|because|since)\s", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\b(?:if|whether|unless|once|when|suppos(?:e|ing)|assum(?:e|ing)|think|thought|claims?|guess(?:ed)?)(?:\s+that)?"
    r"(?:\s+(?:the|my|your|our|this|an?))?(?:\s+(?:final|correct|right))?\s+$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"[-*+>]\s+")
_LEADING_OR = re.compile(r"\bor\W*$", re.IGNORECASE)
_BARE = re.compile(r"[^A-DF-Za-df-z\n]*[0-9][^A-DF-Za-df-z\n]*")


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
        phrase = _in_bold(text) or _whole(text)
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
    if "nswer" not in text and not _WORDS_OF_MARKS.search(text):
        return None
    last = None
    for each in _ANSWER_IS.finditer(text):
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
    if display and (display[1] or display[2] or display[3]):
        return next(group for group in display.groups() if group).strip()
    phrase = _SENTENCE.split(phrase, maxsplit=1)[0].rstrip()
    return phrase[:-1] if phrase.endswith("]") and "[" not in phrase else phrase


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
