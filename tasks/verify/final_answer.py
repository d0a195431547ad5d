"""Finds the final answer that a solution marks, and reads the one number it states.

Markers: `#### 12`, `A: 12` on the last line, "the answer is 12", "Answer: 12", `\\boxed{12}`; the one that
stands last in the text counts. Without any of them `**73**` counts where no digit follows it, and so does a
text that is nothing but a number. A marked phrase must state exactly one number: "12 or 13", a range, an
unreduced 3*4 or a chain of times (3:30) is no answer.

Not covered: numbers in words, clock times, algebra. A percent sign is a unit like a currency sign: 10% is
10, never 0.1.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from math import gcd

from tasks.verify.equations import Rational, Unreadable, evaluate, number
from tasks.verify.glyphs import fold

LONGEST = 200  # characters of a marked phrase; a longer one is an essay, not an answer
LARGEST_EXPONENT = 300  # of 1e300; no finite 64-bit float is far beyond


@dataclass(frozen=True, slots=True)
class Reading:
    """A final answer: its exact `value`, or None and `why` there is none (one printable line)."""

    value: Rational | None
    why: str = ""


NO_MARK = Reading(None, "no marked final answer")

_ANSWER_IS = re.compile(
    r"answer[*_ ]{0,4}(?: to [^.:\n]{1,80}?)?(?:\s{1,4}(?:is|equals|would be|will be)\b|\s{0,4}[:=])"
    r"(?!\s{1,4}(?:correct|right|reasonable|verified)\b)[:*_\s]*+",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s{0,4}(\{|(?=[0-9]))")
_INK = re.compile(r"\S")
_DIGIT = re.compile("[0-9]")
_SENTENCE = re.compile(r"[.!](?=\s|$)|\n|,?\s(?:because|since|which)\s", re.IGNORECASE)
_LEADING_OR = re.compile(r"\bor\W*$", re.IGNORECASE)
_BARE = re.compile(r"[^A-DF-Za-df-z\n]*[0-9][^A-DF-Za-df-z\n]*")
_SHORT = re.compile(r"\s*\$?(-?)([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(\.[0-9]{1,15})?\s*\.?\s*")

# What a phrase may not say: more than one answer, a range, a denial.
_HEDGE = re.compile(
    r"\b(?:or|nor|either|neither|between|not|never|cannot)\b|n['\u2019]t\b|[<>≤≥≠±∓|]", re.IGNORECASE
)
_TAG = re.compile(r"</?[\w|]{1,30}>")
_CURRENCY = re.compile(r"\\?[$€£¥₹₩₽¢₫₪]|\bRs\.?(?=\s*[0-9])")
_WORD_SIGN = re.compile(r"\b(?:minus|negative)\s+", re.IGNORECASE)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{?\s*([0-9]{1,40})\s*\}?\s*\{?\s*([0-9]{1,40})\s*\}?")
_LATEX_SPACE = re.compile(r"\\(?:text|mathrm|mathbf|textbf|left|right|[,;:! ()\[\]])|[{}]")
_DOUBLE_SIGN = re.compile(r"[-+]\s*(?:[-+]|\()")
_START_SIGN = re.compile(r"^\s*([-+])\s+")
_THIN_SPACE = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "k": 3}

# One number with nothing that would make it part of something longer on either side.
_NUMBER = re.compile(
    r"""(?<![\w.,:/^*+\\-])(?P<sign>[-+]?)
    (?:(?P<whole>[0-9]{1,40})\s+(?=[0-9]{1,40}\s*/))?
    (?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)
    (?:[eE](?P<exponent>[-+]?[0-9]{1,4})(?![0-9]))?
    (?:\s*[x*]\s*10\s*\^\s*\(?(?P<power>-?[0-9]{1,4})\)?)?
    (?:\s*/\s*(?P<below>[0-9]{1,40}(?:\.[0-9]{1,40})?))?
    (?P<scales>[kK]\b|(?:\s*(?:hundred|thousand|million|billion|trillion)\b)*)
    (?![0-9]|[.,:][0-9]|\s*[/^*x+]\s*[0-9(]|[A-Za-z]+[0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
_POWER = re.compile(r"\s*(-?[0-9]{1,40}(?:\^-?[0-9]{1,4})?(?:/[0-9]{1,40}(?:\^-?[0-9]{1,4})?)?)\s*\.?\s*")
_ALGEBRA = re.compile(
    r"[√π∞∑∫∛!]\s*[0-9(]|[0-9]\s*[√π∞]|sqrt|\bpi\b|[0-9]\s*(?:pi|[xyz])\b(?!\s*[0-9])|/\s*e\b|[a-z)]\s*[-+*]\s+[0-9]",
    re.IGNORECASE,
)
_FREE_DIGIT = re.compile(r"(?<![A-Za-z0-9^_])[0-9]")


def read_final_answer(text: str) -> Reading:
    """The final answer that a solution marks; linear in the text's length, never raising."""
    phrase = marked_phrase(text)
    return NO_MARK if phrase is None else read_number(phrase)


def read_reference(reference: str) -> Reading:
    """A reference answer: marked as in a whole GSM8K `answer` field, or bare, units and all."""
    phrase = marked_phrase(reference)
    return read_number(reference.strip() if phrase is None else phrase)


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
    """What the last \\boxed{...} holds, up to the brace that closes it."""
    start = text.rfind("\\boxed", after + 1)
    found = _BOXED.match(text, start) if start >= 0 else None
    if not found:
        return -1, ""
    depth, begin = 1, found.end()
    if not found[1]:
        return start, re.split(r"[\s$]", text[begin : begin + LONGEST + 1], maxsplit=1)[0]
    for place, character in enumerate(text[begin : begin + LONGEST + 1]):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return start, _alternative(text, start) + text[begin : begin + place]
    return start, ""


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


def read_number(phrase: str) -> Reading:
    """The one number that a phrase states, with its currency, unit, percent sign and LaTeX taken off."""
    short = _SHORT.fullmatch(phrase)
    if short:
        sign, whole, decimals = short.groups()
        n, d = number(whole.replace(",", "") + (decimals or ""))
        return Reading((-n if sign else n, d))
    if len(phrase) > LONGEST:
        return Reading(None, f"the marked answer is longer than {LONGEST} characters")
    plain = _plain(phrase)
    if "=" in plain:
        plain = _right_side(plain)
    if any(sign.search(plain) for sign in (_HEDGE, _DOUBLE_SIGN, _ALGEBRA)):
        return Reading(None, f"the marked answer is not one number: {_quote(phrase)}")
    power = _POWER.fullmatch(plain) if "^" in plain else None
    if power:
        return _read_power(power[1], phrase)
    found = list(_NUMBER.finditer(plain))
    rest = _NUMBER.sub(" ", plain)
    if len(found) > 1 or _FREE_DIGIT.search(rest):
        return Reading(None, f"the marked answer is not one number: {_quote(phrase)}")
    value = _value(found[0]) if found else None
    return Reading(value, "" if value else f"no number in the marked answer: {_quote(phrase)}")


def _read_power(power: str, phrase: str) -> Reading:
    """10^2 or 1/2^99: the only expressions that count as reduced."""
    try:
        return Reading(evaluate(power))
    except (Unreadable, ZeroDivisionError):
        return Reading(None, f"no number in the marked answer: {_quote(phrase)}")


def _plain(phrase: str) -> str:
    """The phrase in ASCII digits and signs, without currency, Markdown and LaTeX."""
    phrase = fold(_THIN_SPACE.sub("", phrase), " {}")
    if "\\" in phrase or "{" in phrase:
        phrase = _FRACTION.sub(r" \1/\2 ", phrase.replace("{,}", ",").replace("\\%", "%"))
        phrase = phrase.replace("\\times", "*").replace("\\cdot", "*").replace("^{", "^")
        phrase = _LATEX_SPACE.sub(" ", phrase.replace("\\!", ""))
    phrase = phrase.replace("**", "").replace("__", "").replace("`", "").strip("*_ \t\r")
    phrase = re.sub(r"([-+])\s*" + _CURRENCY.pattern + r"\s*", r"\1", _TAG.sub("", phrase))
    phrase = _WORD_SIGN.sub("-", _CURRENCY.sub(" ", phrase))
    return _START_SIGN.sub(r"\1", phrase)


def _right_side(phrase: str) -> str:
    """What an equation comes to: x = 12 and 3*4 = 12 state 12; 11 = 12 states nothing."""
    left, _, right = phrase.rpartition("=")
    if not _DIGIT.search(left):
        return right
    try:
        n, d = evaluate("".join(left.split()))
        value = _value(_NUMBER.search(right))
    except (Unreadable, ZeroDivisionError):
        return phrase
    return right if value and n * value[1] == value[0] * d else phrase


def _value(found: re.Match[str] | None) -> Rational | None:
    """The exact value of a matched number; None where it is out of bounds or has a zero below the line."""
    if not found:
        return None
    exponent = int(found["exponent"] or 0) + int(found["power"] or 0)
    for scale in found["scales"].lower().split() if found["scales"] else ():
        exponent += _SCALES[scale]
    if abs(exponent) > LARGEST_EXPONENT:
        return None
    n, d = number(found["digits"].replace(",", ""))
    below = number(found["below"]) if found["below"] else (1, 1)
    if below[0] == 0 or (found["whole"] and (n >= below[0] or d != 1)):
        return None
    n, d = n * below[1], d * below[0]
    n += int(found["whole"] or 0) * d
    n, d = (n * 10**exponent, d) if exponent >= 0 else (n, d * 10**-exponent)
    return (-n if found["sign"] == "-" else n), d


def canonical_number(value: Rational) -> str:
    """A value as one text: 12, -0.5, or 1/3 in lowest terms where no decimal ends."""
    n, d = value
    if d == 1:
        return str(n)
    shared = gcd(n, d)
    n, d = n // shared, d // shared
    places = max(_times(d, 2), _times(d, 5))
    if 10**places % d:
        return f"{n}/{d}"
    digits = str(abs(n) * 10**places // d).rjust(places + 1, "0")
    sign = "-" if n < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def _times(number: int, factor: int) -> int:
    """How often a factor divides a number."""
    count = 0
    while number % factor == 0:
        number //= factor
        count += 1
    return count


def _quote(phrase: str) -> str:
    """A phrase inside a rationale: short, and printable whatever it holds."""
    return ascii(phrase if len(phrase) <= 40 else phrase[:40] + "...")
