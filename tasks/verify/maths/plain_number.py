"""Reads the one number that a marked phrase states, with its currency, units and prose taken off.

A phrase must state exactly one number: "12 or 13", a range, an unreduced 3*4 or a chain of times (3:30) is
none, and neither is anything that looks like algebra; `answers.py` reads those. A percent sign is noted,
never calculated with: 10% is neither 10 nor 0.1.

Not covered: numbers in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd

from tasks.verify.maths.equations import Rational, Unreadable, evaluate, number
from tasks.verify.maths.glyphs import fold
from tasks.verify.maths.units import ABBREVIATIONS, CURRENCY, SCALE_WORDS, scale_of, unit_name
from tasks.verify.maths.words import may_follow, may_lead

LONGEST = 200  # characters of a marked phrase; a longer one is an essay, not an answer
LARGEST_EXPONENT = 300  # of 1e300; no finite 64-bit float is far beyond


@dataclass(frozen=True, slots=True)
class Reading:
    """What a phrase states: its exact `value`, or None and `why` there is none (one printable line).

    `rounded` is how many decimals were written, `percent` where a percent sign was; `unit` where one that is
    known was, by its name in `units.py`.
    """

    value: Rational | None
    why: str = ""
    rounded: int = 0
    percent: bool = False
    unit: str = ""


_DIGIT = re.compile("[0-9]")
_DECIMALS = re.compile(r"\.[0-9]+")
_SHORT = re.compile(r"\s*\$?(-?)([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(\.[0-9]{1,15})?\s*\.?\s*")

# What a phrase may not say: more than one answer, a range, a denial.
_HEDGE = re.compile(
    r"\b(?:or|nor|either|neither|between|not|never|cannot)\b|n['\u2019]t\b|[<>≤≥≠±∓|]", re.IGNORECASE
)
_TAG = re.compile(r"</?[\w|]{1,30}>")
_CURRENCY = re.compile(r"(?:\bUS)?\\?[$€£¥₹₩₽¢₫₪]|\bRs\.?(?=\s*[0-9])")
_WORD_SIGN = re.compile(r"\b(?:minus|negative)\s+(?!of\b)", re.IGNORECASE)
_FRACTION = re.compile(
    r"\\[cdt]?frac\s*(?:\{\s*([0-9]{1,40})\s*\}|([0-9]))\s*(?:\{\s*([0-9]{1,40})\s*\}|([0-9])(?![0-9]))"
)
_LATEX_SPACE = re.compile(r"\\(?:text|mathrm|mathbf|textbf|left|right|[,;:! ()\[\]])|[{}]")
_DOUBLE_SIGN = re.compile(r"[-+]\s*(?:[-+]|\()")
_START_SIGN = re.compile(r"^\s*([-+])\s+")
_THIN_SPACE = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_SIGNED_UNIT = re.compile(r"\\?([$€£¥₹₩¢])")

# One number with nothing that would make it part of something longer on either side.
_NUMBER = re.compile(
    r"""(?<![\w.,:/^*+\\-])(?P<sign>[-+]?)
    (?:(?P<whole>[0-9]{1,40})\s+(?=[0-9]{1,40}\s*/))?
    (?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)
    (?:[eE](?P<exponent>[-+]?[0-9]{1,4})(?![0-9]))?
    (?:\s*[x*]\s*10\s*\^\s*\(?(?P<power>-?[0-9]{1,4})\)?)?
    (?:\s*/\s*(?P<below>[0-9]{1,40}(?:\.[0-9]{1,40})?))?
    (?P<scales>[kK]\b|(?:[\s-]*(?:SCALES)(?![A-Za-z]))*)
    (?![0-9]|[.,:][0-9]|\s*[/^*x+]\s*[0-9(]|[A-Za-z]+[0-9])""".replace("SCALES", SCALE_WORDS),
    re.VERBOSE | re.IGNORECASE,
)
_SCALE = re.compile(rf"k\b|{SCALE_WORDS}", re.IGNORECASE)
_POWER = re.compile(r"\s*(-?[0-9]{1,40}(?:\^-?[0-9]{1,4})?(?:/[0-9]{1,40}(?:\^-?[0-9]{1,4})?)?)\s*\.?\s*")
# What makes a phrase algebra, to be read by `answers.py`: roots and constants, operators next to letters or
# brackets, subscripts, powers of names, factorials, lists with letters, commands, functions.
_ALGEBRA = re.compile(
    r"""[√π∞∑∫∛!]\s*[0-9(] | [0-9]\s*[√π∞] | sqrt | \bpi\b | [0-9]\s*(?:pi|[xyz])\b(?!\s*[0-9]) | /\s*e\b
    | [a-z)]\s*[-+*]\s+[0-9] | [0-9)]\s*_ | [a-z]\( | [][=]
    | \\(?!circ|degree|%)(?:[a-z{}0-9]|\s*$) | [0-9]\s*!
    | [0-9]\s*[-+*/^]\s*(?:\(|[a-z](?![a-z])) | [0-9][a-jl-z](?![a-z])
    | [0-9]\s+(?:[b-fijknopqrtuvwyz]|x(?!\s*[0-9]))(?![a-z.\u2019'])
    | \)\s*(?:[*/^!]|[a-z](?![a-z])) | [0-9]\s*\([a-z](?![a-z]) | (?<![a-z'\u2019])[b-hj-wyz]\s+[0-9]
    | [0-9]\.?\s*(?:[+*^]\s*[a-z]|\^\s*\{) | [0-9]\.\s*\^
    | (?<![0-9a-z ])x\s+[0-9] | [0-9]:[a-z] | [0-9]\s*,\s*[a-z](?![a-z]) | (?<![a-z])[a-ln-z]\s*\^
    | \b(?:log|ln|exp|sin|cos|tan|cot|sec|csc|mod|gcd|lcm)\b
    | \(\s*-?[0-9]{1,3}(?:,[0-9]{3})+\s*\)""",  # a point, or thousands
    re.VERBOSE | re.IGNORECASE,
)
_UNITS = "|".join(sorted(ABBREVIATIONS)) + "|k|st|nd|rd|th"
_JUXTAPOSED = re.compile(  # 2ab and x\frac12 are products; 2 kg and 12apples are not
    rf"""[0-9](?!(?:{_UNITS})(?![a-z]))(?!e[-+]?[0-9])[a-z]{{1,3}}(?![a-z])
    | [0-9]\s+(?!(?:{_UNITS})(?![a-z]))[a-z]{{2}}\s*$
    | (?<![a-z]{{3}})[a-z}})^_|]\s*\\[cdt]?frac
    | frac\s*(?:\{{[0-9\s]*\}}|[0-9])\s*(?:\{{[0-9\s]*\}}|[0-9])\s*[a-z(|]""",
    re.VERBOSE | re.IGNORECASE,
)
_PERCENT = re.compile(r"%|\bper\s?cent|\bpct\b")
_WORKING = re.compile(r"\s*(?:\(([-+*/x.0-9 ]{3,60})\)|=([-+*/x.0-9 ]{3,60}))\s*\.?\s*$")
_OPERATION = re.compile(r"(?<![A-Za-z]{2})[-+*/^]|[-+*/^](?![A-Za-z]{2})")
_FREE_DIGIT = re.compile(r"(?<![A-Za-z0-9^_])[0-9]")


def read_number(phrase: str) -> Reading:
    """The one number that a phrase states, with its currency, unit, percent sign and LaTeX taken off."""
    short = read_short(phrase)
    if short:
        return short
    if len(phrase) > LONGEST:
        return Reading(None, f"the marked answer is longer than {LONGEST} characters")
    plain = _plain(phrase)
    if _JUXTAPOSED.search(phrase):
        return Reading(None, f"the marked answer is not one number: {_quote(phrase)}")
    plain = _without_working(plain)
    hedged = _HEDGE.search(plain)
    if "=" in plain and not hedged:
        plain = _right_side(plain)
    if hedged or any(sign.search(plain) for sign in (_DOUBLE_SIGN, _ALGEBRA)):
        return Reading(None, f"the marked answer is not one number: {_quote(phrase)}")
    power = _POWER.fullmatch(plain) if "^" in plain else None
    if power:
        return _read_power(power[1], phrase)
    matches = list(_NUMBER.finditer(plain))
    rest = _NUMBER.sub(" ", plain)
    if len(matches) > 1 or _FREE_DIGIT.search(rest):
        return Reading(None, f"the marked answer is not one number: {_quote(phrase)}")
    value = _value(matches[0]) if matches else None
    if value is None:
        return Reading(None, f"no number in the marked answer: {_quote(phrase)}")
    before, after = plain[: matches[0].start()], plain[matches[0].end() :]
    if not (may_lead(before) and may_follow(after)):
        return Reading(None, f"words that may change the number: {_quote(phrase)}")
    decimals = _DECIMALS.search(matches[0]["digits"])
    rounded = len(decimals[0]) - 1 if decimals else 0
    return Reading(value, "", rounded, bool(_PERCENT.search(plain)), _unit(phrase, after))


def _unit(phrase: str, after: str) -> str:
    """The known unit that a phrase has: a currency's sign, or the first words after the number."""
    signed = _SIGNED_UNIT.search(phrase)
    if signed and (signed[1] != "$" or signed[0] != "$" or phrase.count("$") == 1):
        return CURRENCY[signed[1]]
    words = re.match(r"\s*([A-Za-z.]+)", after)
    return unit_name(words[1].rstrip(".")) if words else ""


def read_short(phrase: str) -> Reading | None:
    """The number of a phrase that is nothing but digits, as nearly all of GSM8K's are; None for any other."""
    short = _SHORT.fullmatch(phrase)
    if not short:
        return None
    sign, whole, decimals = short.groups()
    n, d = number(whole.replace(",", "") + (decimals or ""))
    return Reading((-n if sign else n, d), "", len(decimals or ".") - 1)


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
        phrase = _FRACTION.sub(r" \1\2/\3\4 ", phrase.replace("{,}", ",").replace("\\%", "%"))
        phrase = phrase.replace("\\times", "*").replace("\\cdot", "*").replace("^{", "^")
        phrase = _LATEX_SPACE.sub(" ", phrase.replace("\\!", ""))
    phrase = phrase.replace("**", "").replace("__", "").replace("`", "").strip("*_ \t\r")
    phrase = re.sub(r"([-+])\s*" + _CURRENCY.pattern + r"\s*", r"\1", _TAG.sub("", phrase))
    phrase = _WORD_SIGN.sub("-", _CURRENCY.sub(" ", phrase))
    return _START_SIGN.sub(r"\1", phrase)


def _without_working(phrase: str) -> str:
    """72 (8 * 9) and 72 = 8 * 9 as 72, where what follows the number comes to it."""
    match = _WORKING.search(phrase)
    working = "".join((match[1] or match[2]).replace("x", "*").split()) if match else ""
    if not match or not _OPERATION.search(working):
        return phrase
    value = _value(_NUMBER.fullmatch(phrase[: match.start()].strip()))
    try:
        n, d = evaluate(working)
    except (Unreadable, ZeroDivisionError):
        return phrase
    return phrase[: match.start()] if value and n * value[1] == value[0] * d else phrase


def _right_side(phrase: str) -> str:
    """What an equation comes to: x = 12 and 3*4 = 12 state 12; 11 = 12 states nothing."""
    left, _, right = phrase.rpartition("=")
    if not _DIGIT.search(left):
        return phrase if _OPERATION.search(left) else right
    try:
        n, d = evaluate("".join(left.split()))
        value = _value(_NUMBER.search(right))
    except (Unreadable, ZeroDivisionError):
        return phrase
    return right if value and n * value[1] == value[0] * d else phrase


def _value(match: re.Match[str] | None) -> Rational | None:
    """The exact value of a matched number; None where it is out of bounds or has a zero below the line."""
    if not match:
        return None
    exponent = int(match["exponent"] or 0) + int(match["power"] or 0)
    scale = 1
    for word in _SCALE.findall(match["scales"] or ""):
        scale *= 1000 if word in ("k", "K") else scale_of(word) or 1
    if abs(exponent) > LARGEST_EXPONENT:
        return None
    n, d = number(match["digits"].replace(",", ""))
    below = number(match["below"]) if match["below"] else (1, 1)
    if below[0] == 0 or (match["whole"] and (n >= below[0] or d != 1)):
        return None
    n, d = n * below[1] * scale, d * below[0]
    n += scale * int(match["whole"] or 0) * d
    n, d = (n * 10**exponent, d) if exponent >= 0 else (n, d * 10**-exponent)
    return (-n if match["sign"] == "-" else n), d


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
