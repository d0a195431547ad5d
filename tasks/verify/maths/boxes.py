r"""What a solution's boxes say: the last one counts, with the boxes that stand in one sentence with it.

A sign or a factor outside the box belongs to the answer (-\boxed{5} is -5, \boxed{3}\sqrt2 is no 3), and so
do a percent sign and a scale (million). Words beside it that bound, change or deny it make it no answer. If
the last box is empty or unclosed, there is no answer: no earlier box takes its place. An empty box before the
last one is the instruction, repeated. Time is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from tasks.verify.maths.beside import is_doubted
from tasks.verify.maths.expression import LONGEST
from tasks.verify.maths.units import SCALE_WORDS

MOST_BOXES = 32  # of one text; more is no answer

_START = re.compile(r"\\(?:boxed|fbox|framebox|beginboxed)(?![A-Za-z])\s{0,4}(\{|(?=[0-9]))")
_BLANK = re.compile(r"(?:\\phantom\{[^{}]*\}|\\q?quad|\\[,;:! ]|\\(?:dots|ldots|cdots)|[\s?_.…])*")
_SENTENCE_END = re.compile(r"(?<!\.)[.!?](?=[\s$*])(?!\s*\.)|\n")
_HEDGE = re.compile(r"[\W_]*(?:or|alternatively|otherwise|maybe|perhaps)\b", re.IGNORECASE)
SIZES = "tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge"
_CUT_BEFORE = re.compile(
    r".*(?:[-=]+>|\|>|[.!?](?=\s)|\$|\\\[|\\\(|\\\)|\\\]|[=:,;&≈⇒→]|\\(?:approx|implies|Rightarrow|to|therefore|rightarrow|equiv|quad|qquad|sim)"
    r"(?![a-z])|\\text\{[^{}]*\}|\\\\|(?<![\\A-Za-z])[A-Za-z]{2,}(?![a-z{])|[\u0080-\uffff])",
    re.DOTALL,
)
_CUT_AFTER = re.compile(
    r"\$|<\||\s\((?=[A-Za-z]{2}|[0-9.,]+ [a-z]{2})|\\[\])]|[.,;:](?:\s|$|\$)|\n"
    r"|\\(?:pmod|text|mbox|quad|qquad|tag|implies|end|checkmark|square|blacksquare|\\)|\\%|%|\s[A-Za-z]{2,}|\*\*|[)\]](?![^(\[]*$)"
)
_LAYOUT = re.compile(
    r"\\(?:displaystyle|textstyle|left|right|bigl?|Bigl?|[,;:! ]|SIZES)|[\s*]|^\{+$".replace("SIZES", SIZES)
)
_OR_BEFORE = re.compile(r"\bor\b(?:\s+(?:maybe|perhaps|possibly|else))?[\s$\\(\[]*$", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[>#|]+\s*)*(?:[-*+]\s+|[0-9]+[.)]\s+)?")
_OR_AFTER = re.compile(r"[\s$.}\\)\]]{0,8}(?:,\s*)?\bor\b\s*[-$\\0-9(A-Za-z]", re.IGNORECASE)
_PERCENT = re.compile(r"[\s$]{0,4}(?:\\?%|percent|pct)")
_SIGN_BEFORE = re.compile(r"(?:^|[\s=(:$])([-\u2212])(?:\$|\s|\\[,;:! ])*$")
_SCALE_AFTER = re.compile(
    r"(?:[\s$~-]|\\[,;:! ]|\*\*){0,6}(?:\\(?:text|mbox|mathrm)\s*\{)?\s*(" + SCALE_WORDS + r")(?![a-z])",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"\bnegative\s+[$\\(]*$", re.IGNORECASE)
_FACTORIAL = re.compile(r"\s{0,4}(!+)\s{0,4}(?:\$|\\\)|\\\])")
_BOUND_AFTER = re.compile(r"\s*(?:[<>]|\\(?:[lg]eq?|[lg]t|[lg]eqslant)(?![a-z]))=?\s*[A-Za-z](?![A-Za-z])")
_ATOM = re.compile(r"[0-9.,{}!\\]+|[A-Za-z]|\\[a-z]+|\\[dt]?frac\{[^{}]*\}\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Boxed:
    """What the last box and those beside it hold, in order, or `why` there is none; whether a % follows."""

    content: tuple[str, ...] = ()
    why: str = ""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class _Box:
    start: int
    end: int  # beyond its closing brace
    content: str | None  # None where nothing closes it


def has_box(text: str) -> bool:
    """Whether a text has a box at all."""
    return "boxed" in text or "box{" in text


def read_boxes(text: str) -> Boxed | None:
    """The boxes that count; None where there is none."""
    starts = list(islice(_START.finditer(text), MOST_BOXES + 1))
    if not starts:
        return None
    if len(starts) > MOST_BOXES:
        return Boxed(why=f"more than {MOST_BOXES} boxed answers")
    boxes = [_box(text, match) for match in starts]
    outer = [
        each
        for place, each in enumerate(boxes)
        if not any(o.start < each.start < o.end for o in boxes[:place])
    ]
    last = outer[-1]
    if last.content is None or _BLANK.fullmatch(last.content):
        return Boxed(why="the last box is empty, or nothing closes it")
    group = _group(
        text, [each for each in outer if each.content is None or not _BLANK.fullmatch(each.content)]
    )
    if any(each.content is None for each in group):
        return Boxed(why="a box that nothing closes")
    if _OR_AFTER.match(text, last.end, last.end + 40):
        return Boxed(why="more than one answer, joined by 'or'")
    if any(is_doubted(text, each.start, each.end) for each in group):
        return Boxed(why="words beside the box that bound, change or deny what it holds")
    answers = tuple(dict.fromkeys(_whole(text, each) for each in group))
    return Boxed(answers, "", bool(_PERCENT.match(text, last.end)))


def _box(text: str, match: re.Match[str]) -> _Box:
    begin = match.end()
    if not match[1]:
        content = re.split(r"[\s$]", text[begin : begin + LONGEST + 1], maxsplit=1)[0]
        return _Box(match.start(), begin + len(content), content)
    depth = 1
    for place, character in enumerate(text[begin : begin + LONGEST + 2]):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return _Box(match.start(), begin + place + 1, _innermost(text[begin : begin + place]))
    return _Box(match.start(), len(text), None)


def _innermost(content: str) -> str:
    """\\boxed{\\boxed{5}} holds 5."""
    while True:
        inner = _START.match(content.strip())
        if not inner or not inner[1] or not content.strip().endswith("}"):
            return content
        content = content.strip()[inner.end() : -1]


def _group(text: str, boxes: list[_Box]) -> list[_Box]:
    """The last box and those before it that no end of a sentence parts from it."""
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        between = text[box.end : group[0].start]
        ends = [match.end() for match in _SENTENCE_END.finditer(between)]
        if ends and not _HEDGE.match(between, ends[-1]) and not _OR_BEFORE.search(between):
            break
        group.insert(0, box)
    return group


def _whole(text: str, box: _Box) -> str:
    """What a box holds, with the sign, the scale and the factors that stand outside it."""
    assert box.content is not None
    line = text[max(text.rfind("\n", 0, box.start) + 1, box.start - LONGEST) : box.start]
    line = _BULLET.sub("", line, count=1).removesuffix("\\")
    before = _CUT_BEFORE.sub("", line, count=1)
    sign = _SIGN_BEFORE.search(line)
    before = _LAYOUT.sub("", sign[1] if sign and not before else before)
    rest = text[box.end : box.end + 80]
    scale, factorial = _SCALE_AFTER.match(rest), _FACTORIAL.match(rest)
    if _NEGATIVE.search(line) and not before:
        before = "-"
    if scale:
        return f"{before}{box.content}\\text{{ {scale[1]}}}"
    end = _CUT_AFTER.search(rest)
    after = _LAYOUT.sub("", rest[: end.start()] if end else rest)
    if before.strip("{(+") == "":
        before = ""
    if factorial:
        after = factorial[1]
    elif after.strip("})!.'\"") == "" or (_relation(after) and not _BOUND_AFTER.match(after)):
        after = ""
    if after == "|" and not before and rest.startswith(" |"):  # the cell of a table
        after = ""
    if after and not before and after[0] in "})":
        after = ""
    if not before and not after:
        return box.content
    inner = box.content if _ATOM.fullmatch(box.content.strip()) and not after else f"({box.content})"
    return f"{before}{inner}{after}"


def _relation(after: str) -> bool:
    return bool(
        re.match(r"[=<>]|\\(?:approx|le|ge|lt|gt|ne|in|equiv|cdots|ldots|dots)(?![a-z])|\\[^a-z]", after)
    )
