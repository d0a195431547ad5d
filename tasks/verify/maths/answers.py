"""Reads a marked phrase as an answer: a tree where the grammar takes it, else words or the bare writing.

A phrase that offers a choice ("A or B"), denies ("not 5") or says that there is none is no answer. What the
grammar does not take (a sum with bounds, a set builder) still equals the same writing, spaces apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.verify.maths.expression import LONGEST, TALLEST, Chain, Name, Row, Tree, Unreadable, Words, is_tall
from tasks.verify.maths.glyphs import fold
from tasks.verify.maths.latex_reader import Reader
from tasks.verify.maths.latex_tokens import tokens
from tasks.verify.maths.words import may_follow, may_lead
from tasks.verify.maths.writings import REALS, SAYINGS, plainer


@dataclass(frozen=True, slots=True)
class Answer:
    """A phrase as read: its `tree` (None where the grammar does not take it, then `why`) and its writing
    without spaces and styles."""

    tree: Tree | None
    written: str
    why: str = ""
    choice: bool = False  # "or" between values: a list, for an answer


_LABEL = re.compile(
    r"\s*(?:\\(?:lim|limsup|liminf|int|iint|oint|sum|prod|gcd|lcm|det|max|min|sup|inf|Pr|dim|deg|ker|frac\{d)"
    r"(?![a-z])|\\(?:text|mathrm|operatorname|mathbb|mathbf)\s*\{|[A-Za-z]{1,4}\s*\(|[A-Za-z]{3,}\b"
    r"|\\(?:angle|triangle|overline|vec|hat|bar|widehat)(?![a-z])|[|\\])"
)
_NAMED = re.compile(r"\s*(?:\\(?:text|mbox|mathrm)\s*\{)?\s*([A-Za-z][A-Za-z ]{2,60}):\s*\}?\s*([^:=,;]+)")
MOST_NAMED = 16
_BY_NAME = re.compile(
    r"[\s\\]*(?:\\(?:text|mbox|mathrm)\s*\{)?\s*([A-Z][A-Za-z]{2,30}(?: [A-Z0-9][a-z]{0,20})?)"
    r"\s*\}?\s*[:=]\s*\}?\s*([^:=]+)"
)
_PARTS = re.compile(r"(?:,|;|(?:\\text\s*\{\s*|\s)and[\s}])(?:\\[ ,;]|\\q?quad|\s)*")
_REMARK = re.compile(
    r"(?:\s|\\[ ,;]|\\q?quad)*(?:\\(?:text|mbox)\s*\{)?\s*"
    r"\((?:an?\s)?(?:double|repeated|exact|exactly|only|simplified|units?)(?:\s(?:root|value|solution))?\)\s*\}?\s*$"
)
_NONE = frozenset(("", "none", "nan", "null", "nil", "inf", "n/a", "na", "unknown", "idk", "?", "..."))
_CHOICE = re.compile(r"(?<![a-z\\])(?:or|lor)(?![a-z])|[a-z0-9]\s*\?", re.IGNORECASE)
_DENIAL = re.compile(r"(?<![a-z\\])(?:not|never|cannot|neither|nor)(?![a-z])|n['\u2019]t\b", re.IGNORECASE)
_IF = re.compile(r"\b(?:if|whether|unless|wrong|false|than|nearly|almost)\b", re.IGNORECASE)
_STYLE = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|mbox|hbox|math(?:rm|bf|it|sf)|operatorname|left|right|displaystyle|quad|qquad)"
    r"(?![A-Za-z])|\\[,;:! ()\[\]]|[\s$`~]|\*\*"
)
_IN_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mbox|hbox|mathrm|mathbf|mathit)\s*\{([^{}]*)\}")
_AFTER_COMMAND = re.compile(r"(\\[A-Za-z]+)\s+(?=[^A-Za-z\s])")
_BETWEEN = re.compile(r"(?<=[A-Za-z0-9])\s+(?=[A-Za-z0-9])")
_ARTICLE = re.compile(r"^(?:an?|the)\s+(?=[a-z]{2})")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]*")
_LETTERED = re.compile(
    r"\s*(?:\\text(?:bf)?\s*\{)?\s*(?:[Oo]ption\s+|[Cc]hoice\s+)?\(?([A-J])\*{0,2}[).:}][).:}\s]*(?=[\s~]|\\|$)"
)
_LETTER = re.compile(r"(?<![A-Za-z\\])(?:[B-J]|A(?!\s+[a-z]))(?![A-Za-z])")
_MATHS = re.compile(r"\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_PROSE = re.compile(r"[^0-9\\^_=<>]*")
_LEAD = re.compile(r"^\$?\s*(?:=|\\approx(?![a-z])|≈)\s*")
_TAIL = re.compile(r"[\s.,;。]+$|(?<=[A-Za-z]{3})!$|(?:\\[,;! ]|\\\\)+$")


def read_answer(phrase: str) -> Answer:
    """The answer that a phrase states; linear in its length, never raising."""
    phrase = _bare(phrase)
    if len(phrase) > LONGEST:
        return Answer(None, "", f"the marked answer is longer than {LONGEST} characters")
    phrase = plainer(phrase)
    bare = _AFTER_COMMAND.sub(r"\1", _IN_TEXT.sub(r"\1", fold(phrase, " {}")))
    written = _STYLE.sub("", _BETWEEN.sub("\0", bare)).replace("\0", " ")
    words = _words(phrase)
    if written.strip("{}().").lower() in _NONE:
        return Answer(None, "", "the marked answer is empty or says that there is none")
    if words is not None:
        if _CHOICE.search(words):
            return Answer(None, "", "more than one answer, joined by 'or'")
        saying = _ARTICLE.sub("", words.lower().strip())
        if saying in REALS:
            return Answer(Name("reals"), written)
        return Answer(Words(SAYINGS.get(saying, saying)), written)
    named = _by_name(phrase)
    if named is not None:
        return Answer(named, written)
    why = ""
    for part in (
        phrase,
        _REMARK.sub("", phrase),
        _after_is(phrase),
        _maths_in_prose(phrase),
        _beside_label(phrase),
    ):
        if not part:
            continue
        try:
            tree, choice = _read(part)
            return Answer(tree, written, choice=choice)
        except Unreadable as error:
            why = why or f"the marked answer is not one that the grammar takes: {error}"
    if _CHOICE.search(phrase) or _DENIAL.search(phrase):
        written = ""
    return Answer(None, written, why)


def _read(phrase: str) -> tuple[Tree, bool]:
    """The tree of a phrase, and whether "or" stands between values in it."""
    reader = Reader(tokens(phrase))
    tree = reader.answer()
    if is_tall(tree):
        raise Unreadable(f"more than {TALLEST} levels")
    return tree, reader.choice


def _by_name(phrase: str) -> Tree | None:
    """Values beside names, in any order: Alice: 3, Bob: 4."""
    matches = (
        [_BY_NAME.fullmatch(part) for part in _PARTS.split(phrase)]
        if "," in phrase or " and" in phrase
        else []
    )
    if len(matches) < 2 or len(matches) > MOST_NAMED or not all(matches):
        return None
    try:
        sides = [(Name(match[1].strip().lower()), _read(match[2])[0]) for match in matches if match]
    except Unreadable:
        return None
    return Row("", tuple(Chain(side, ("=",)) for side in sides), "")


def _beside_label(phrase: str) -> str:
    r"""What stands beside a left side that only says what the value is: \lim_{x\to 0} f(x) = 3."""
    left, equals, right = phrase.rpartition("=")
    bounds = re.sub(r"_\s*\{[^{}]*\}|(?<=[A-Za-z}])\s*(?:\([^()]*\)|\[[^\[\]]*\])", "", left)
    if equals and _LABEL.match(left) and not re.search(r"[<>=]|\\(?:le|ge|ne|lt|gt)(?![a-z])", bounds):
        return right.strip()
    statement = _NAMED.fullmatch(_REMARK.sub("", phrase))
    return statement[2].strip() if statement and may_follow(statement[1]) else ""


def letter(phrase: str) -> str:
    """The letter of a choice that is written with its text: "(B) 12" and "\\textbf{(B)}\\ 12" are B."""
    match = _LETTERED.match(phrase)
    return match[1] if match and not _LETTER.search(phrase, match.end()) else ""


def is_letter(tree: Tree | None) -> bool:
    """Whether a tree is the letter of a choice."""
    return isinstance(tree, Name) and tree.text in set("ABCDEFGHIJ")


def _bare(phrase: str) -> str:
    """The phrase without the signs that only end or surround it."""
    phrase = _LEAD.sub("", phrase.strip().strip("`"), count=1)
    while True:
        shorter = _TAIL.sub("", phrase)
        for opening, closing in (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")):
            inner = shorter[len(opening) : -len(closing)]
            if shorter.startswith(opening) and shorter.endswith(closing) and opening not in inner:
                shorter = inner
        if shorter == phrase:
            return phrase
        phrase = shorter.strip()


def _words(phrase: str) -> str | None:
    """The text of a phrase that is nothing but words; None for letters that are a product or a name."""
    text = _IN_TEXT.sub(r"\1", phrase)
    text = " ".join(re.sub(r"\\[,;:! ]|[~$]", " ", text).split()).strip("\"'.,! ")
    if not _WORDS.fullmatch(text):
        return None
    in_text = text not in " ".join(phrase.replace("$", " ").split())
    longest = max(map(len, re.split(r"[ '-]", text)))
    if longest >= (2 if in_text else 3) or text.lower() in ("no", "yes"):
        return text if text not in ("sin", "cos", "tan", "log", "exp") else None
    return None


def _after_is(phrase: str) -> str:
    """What a sentence says that something is: "The largest n is 34"."""
    before, verb, after = phrase.rpartition(" is ")
    doubted = any(each.search(phrase) for each in (_CHOICE, _DENIAL)) or _IF.search(before)
    return after if verb and not doubted else ""


def _maths_in_prose(phrase: str) -> str:
    """The one piece between dollar signs, where the prose around it states nothing else."""
    matches = list(_MATHS.finditer(phrase))
    if len(matches) != 1:
        return ""
    before, after = phrase[: matches[0].start()], phrase[matches[0].end() :]
    around = f"{before} {after}"
    if not (may_lead(before) and may_follow(after)):
        return ""
    if not _PROSE.fullmatch(around) or _CHOICE.search(around) or _DENIAL.search(around):
        return ""
    return next(group for group in matches[0].groups() if group)
