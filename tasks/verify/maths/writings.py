r"""Brings other writings of an answer to those that the grammar takes.

Colours and weights are taken off, {1 \over 2} is a fraction, 0.333\ldots repeats, 3 to 2 is a ratio, 3 out of
8 a fraction, \{x \mid x > 3\} an inequality, cases are a list. Each rule is a pattern on the phrase, whose
length is bounded.
"""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\\(?:text)?color\s*(?:\[[a-z]{1,9}\])?\{[A-Za-z0-9!]{1,20}\}")
_WEIGHT = re.compile(r"\\(?:boldsymbol|bm|mathbf|mathsf|pmb|mathit|underline|ensuremath)(?![A-Za-z])")
_OVER = re.compile(r"\{([^{}]*)\\over(?![a-z])([^{}]*)\}")
_BARE_OVER = re.compile(r"([^{}]*)\\over(?![a-z])([^{}]*)")
_GOES_ON = re.compile(r"([0-9]*)\.([0-9]{3,40})\s*(?:\\(?:dots|ldots|cdots)(?![a-z])|\.\.\.|…)")
_THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3})((?:[ \u00a0\u2009\u202f][0-9]{3})+)(?![0-9.,]?[0-9])")
_RATIO = re.compile(r"\s*([0-9.]{1,20})\s+to\s+([0-9.]{1,20})\s*")
_OUT_OF = re.compile(r"\s*([0-9]{1,20})\s+(?:out\s+of|in\s+every)\s+([0-9]{1,20})\s*")
_QUALIFIER = re.compile(
    r"(?:,|\\quad|\\,|\s)*(?:\\(?:text|mbox|textrm|mathrm)\s*\{)?\s*(?:for|with)\s+(?:any|all|every|each|some|arbitrary)\b.*$",
    re.DOTALL,
)
_BUILDER = re.compile(
    r"\s*(?:\\left\s*)?\\\{\s*([a-z])(?:\s*\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\mid|\\vert|\||:|\\colon)\s*(.*?)(?:\\right\s*)?\\\}\s*",
    re.DOTALL,
)
_CASES = re.compile(
    r"\s*(?:\\left\\\{)?\s*\\begin\{(?:cases|array|aligned|gathered)\}(?:\{[lcr]+\})?([^&]*?)\\end\{[a-z]+\}(?:\\right\.)?\s*",
    re.DOTALL,
)
_LETTERS = re.compile(
    r"\s*(?:\\text\s*\{)?\s*\(?([A-J]\)?(?:\s*(?:,\s*and|,|and|&)\s*\(?[A-J]\)?)+)\s*\}?\s*"
)
_OPTION = re.compile(
    r"\s*(?:\\text(?:bf)?\s*\{)?\s*(?:the\s+)?(?:[Oo]ption|[Cc]hoice)\s+\(?([A-J])\)?\s*\}?\s*"
)
_LINK = re.compile(r"\\(?:text|mbox|textrm|mathrm)\s*\{\s*(to|out of|in every|and)\s*\}")
_CIS = re.compile(r"\\(?:text|operatorname|mathrm)\s*\{\s*cis\s*\}|(?<![A-Za-z\\])cis(?![A-Za-z])")
_MODULO = re.compile(
    r"\\p?mod\s*([A-Za-z0-9]+)|\(\s*\\(?:bmod|mod|text\s*\{\s*mod\s*\})\s*\{?([A-Za-z0-9]+)\}?\s*\)"
    r"|\\p?mod\s*\{\s*([^{}]*?)\s*\}|\(\s*(?:\\text\s*\{)?\s*mod\s+([A-Za-z0-9]+)\s*\}?\s*\)"
)
_DOTS = re.compile(r"\\(?:dots|cdots|dotsc|dotsb)(?![a-z])|…|(?<![0-9.])\.\.\.")
_WHERE_BACKSLASH = re.compile(
    "[\\\\…\u00a0\u2009\u202f]|\\.\\.\\.|[0-9] [0-9]| to | of |for |with | and |[A-J],|ption |hoice "
    "|\\) ?\\(|\\^\\{\\("
)

_OF_FUNCTIONS = re.compile(
    r"^\s*(?:\(\s*([f-hF-H])\s*(?:\\circ|\u2218|\+|-|\\cdot|/)\s*[f-hF-H]\s*\)"
    r"|([f-hF-H])\^\{\(\d{1,3}\)\})\s*(\([^()=]{1,40}\)\s*=)"
)
"""A left side that is a composition, a sum or a derivative of functions: it only says what the value is."""


def plainer(phrase: str) -> str:
    """The phrase in the writing that the grammar takes; itself where no rule applies."""
    if not _WHERE_BACKSLASH.search(phrase):
        return phrase
    phrase = _WEIGHT.sub("", _COLOUR.sub("", phrase)).replace("{:}", ":").replace("\\text:", ":")
    if "over" in phrase:
        phrase = _OVER.sub(r"\\frac{\1}{\2}", phrase)
        bare = _BARE_OVER.fullmatch(phrase)
        phrase = rf"\frac{{{bare[1]}}}{{{bare[2]}}}" if bare else phrase
    phrase = _GOES_ON.sub(_repeating, phrase)
    phrase = _DOTS.sub(r"\\ldots", _MODULO.sub(_modulo, phrase))
    phrase = _THOUSANDS.sub(lambda match: match[1] + re.sub(r"\s", "", match[2]), phrase)
    phrase = _LINK.sub(r" \1 ", phrase)
    phrase = _CIS.sub(r"\\cis ", _QUALIFIER.sub("", phrase))
    for pattern, replacement in (
        (_RATIO, r"\1:\2"),
        (_OUT_OF, r"\\frac{\1}{\2}"),
        (_BUILDER, r"\2"),
        (_OPTION, r"\1"),
    ):
        phrase = pattern.sub(replacement, phrase) if pattern.fullmatch(phrase) else phrase
    if "{aligned}" in phrase or "{gathered}" in phrase:
        phrase = re.sub(r"&\s*(?=[=<>])", "", phrase)
    phrase = _OF_FUNCTIONS.sub(r"\1\2\3", phrase)
    cases = _CASES.fullmatch(phrase)
    if cases:
        phrase = ", ".join(part.strip(" ,") for part in re.split(r"\\\\", cases[1]) if part.strip(" ,"))
    letters = _LETTERS.fullmatch(phrase)
    return ", ".join(re.findall("[A-J]", letters[1])) if letters else phrase


def _modulo(match: re.Match[str]) -> str:
    return rf"\pmod{{{next(filter(None, match.groups()))}}}"


def _repeating(match: re.Match[str]) -> str:
    """0.333... with its period overlined; as it is where nothing in it repeats."""
    whole, decimals = match[1], match[2]
    for period in range(1, len(decimals) // 2 + 1):
        least = max(3, 2 * period)
        tail = decimals[-period:]
        length = 0
        while length < len(decimals) and decimals[-1 - length] == tail[-1 - length % period]:
            length += 1
        if length >= least:
            return rf"{whole or 0}.{decimals[: len(decimals) - length]}\overline{{{_turned(tail, length)}}}"
    return match[0]


def _turned(tail: str, length: int) -> str:
    """The period as it begins where the repetition does."""
    shift = length % len(tail)
    return tail[-shift:] + tail[:-shift] if shift else tail


SAYINGS = {
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution",
    "there is no solution": "no solution", "there are no solutions": "no solution",
    "empty set": "no solution",
    "the empty set": "no solution", "dne": "does not exist", "the limit does not exist": "does not exist",
    "limit does not exist": "does not exist", "undefined": "undefined", "none of these": "none of the above",
    "infinitely many": "infinitely many solutions",
}  # fmt: skip
"""Answers in words, and what they are compared as."""
REALS = frozenset(("all real numbers", "all reals", "real numbers", "reals", "all real x", "all real values"))
EMPTY = "no solution"
