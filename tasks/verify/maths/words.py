"""Which words may stand around a number: before it those of a list alone, after it any that do not change it.

"at least 5", "half of 12", "10 factorial" and "Team 1" are no 5, 12, 10 and 1. What stands before a number
bounds it, denies it or names it, unless it is one of the words by which prose leads to a number.
"""

from __future__ import annotations

import re

_LEADING = frozenset(
    (
        *(
            "a",
            "an",
            "the",
            "is",
            "are",
            "was",
            "were",
            "be",
            "been",
            "will",
            "would",
            "that",
            "this",
            "these",
        ),
        *("it", "its", "he", "she", "they", "we", "i", "you", "his", "her", "their", "our", "my", "there"),
        *(
            "answer",
            "final",
            "total",
            "sum",
            "result",
            "value",
            "amount",
            "number",
            "cost",
            "price",
            "interval",
        ),
        *(
            "equals",
            "equal",
            "to",
            "so",
            "thus",
            "therefore",
            "hence",
            "then",
            "and",
            "as",
            "of",
            "for",
            "in",
        ),
        *("has", "have", "had", "needs", "need", "gets", "get", "earns", "makes", "costs", "pays", "spends"),
        *(
            "left",
            "just",
            "only",
            "exactly",
            "precisely",
            "approximately",
            "about",
            "around",
            "simply",
            "actually",
            "clearly",
            "indeed",
            "obviously",
            "still",
            "integer",
            "now",
        ),
        *(
            "x",
            "y",
            "n",
            "k",
            "a",
            "b",
            "c",
            "m",
            "p",
            "q",
            "t",
            "s",
            "r",
            "option",
            "rs",
            "usd",
            "eur",
            "gbp",
        ),
        *("minus", "negative", "positive", "plus", "altogether", "become", "becomes", "takes", "took", "ans"),
        *(
            "largest",
            "smallest",
            "greatest",
            "maximum",
            "minimum",
            "area",
            "length",
            "perimeter",
            "probability",
        ),
    )
)
_STATING = frozenset(
    (
        *("is", "are", "was", "were", "equals", "has", "have", "had", "needs", "gets", "got"),
        *("earns", "earned", "makes", "made", "costs", "pays", "paid", "spends", "spent", "sold"),
        *("ate", "bought", "owns", "uses", "used", "takes", "took", "saves", "saved", "lost"),
        *("gained", "wins", "won", "reads", "read"),
    )
)
"""Verbs after which a number is what the sentence is about, whatever leads to them."""
_UNSURE = re.compile(
    r"\b(?:any(?:thing|one|where)?|never|nothing|no|none|isn|aren|doesn|if|whether|could|might|may|can|"
    r"than|same|opposite|far|close|wrong|incorrect|false|mistake|nearly|almost|divisible|multiple|factor|n['\u2019]t)\b",
    re.IGNORECASE,
)
_TOTALS = re.compile(
    r"\b(?:sum|number|value|product|result|cost|price|area|length|maximum|minimum|negative)\s+of\b"
    r"|\bless\b|\bmore\b|\bmost\b|\bleast\b|\bof the\b|\bfor\b.*\bof\b",
    re.IGNORECASE,
)
_TENS = (
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
)
_CHANGING = re.compile(
    r"""\b(?:squared|cubed|factorial|factorials|below|above|under|over|beyond|minus|plus|times|divided|
    multiplied|less|more|fewer|greater|smaller|bigger|larger|higher|lower|least|most|percentage\s+points|
    short|away|apart|or|nor|to|not|halves|thirds|fourths|quarters|fifths|sixths|sevenths|eighths|ninths|tenths|
    hundredths|thousandths|th\s+root|root|roots|mod|modulo|choose|power|powers|up|down|off|out|
    half|double|twice|thrice|different\s+from|either|between|except|but|unless|if|excluding|
    base|radians?\s+per|and\s+a|remainder|r|fold|minimum|maximum|min|max|too\s+(?:many|much|few|little)|
    mega|giga|doubled|tripled|quadrupled|halved|raised|increased|decreased|reduced|something|
    followed\s+by|reversed|wrong|incorrect|invalid|false|per\s+(?:mille|thousand|hundred|million|billion)|
    oder|ou|или|
    point\s+(?:zero|one|two|three|four|five|six|seven|eight|nine)|(?:st|nd|rd|th)\s+(?:\w+\s+)?(?:primes?|terms?|fibonacci|numbers?|powers?|triangular|squares?|cubes?)|
    (?:m|b|tr|quadr)illionths)\b
    |^\s*[-+?*^'"\u2032\u2033](?![A-Za-z*\\])|^\s*-?ish\b|^-(?:odd|plus)\b|[‰‱]|^\s*(?:or\s+)?-?\s*(?:TENS)(?:s|es)?\b
    |(?:^|\bin|\()\s*(?:hundred|thousand|million|billion|trillion|lakh|crore)s?\b|\((?:negative|excluded|exclusive)
    |以上|以下|以内|以外|左右|上下|[多余乗]|の|平方|二次方|이상|이하|미만|초과
    |^\s*(?-i:[MBk])\b""".replace("TENS", "|".join(_TENS)),  # 5 M: million, or a unit that nobody can tell
    re.IGNORECASE | re.VERBOSE,
)
_HARMLESS = re.compile(
    r"\b(?:more|fewer|less)\s+(?!than)[a-z]+|\b(?:left\s+over|leftover|over\s+time|out\s+of\s+the\s+\w+|more\s*$|times\s*$"
    r"|each\s+or\s+\S+|in\s+total)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def may_lead(text: str) -> bool:
    """Whether a number's value is what it is after these words."""
    words = [word.lower() for word in _WORD.findall(text)]
    if not words or (all(word in _LEADING for word in words) and not _TOTALS.search(text)):
        return True
    return words[-1] in _STATING and not _CHANGING.search(text) and not _UNSURE.search(text)


def may_follow(text: str) -> bool:
    """Whether a number's value is what it is before these words: a unit, a noun, a remark."""
    if not text or text.isspace():
        return True
    return not _CHANGING.search(_HARMLESS.sub(" ", text))


def noun(text: str) -> str:
    """The words after a number as they are compared: folded, in the singular, small words left out."""
    words = [word if _is_symbol(word) else word.lower() for word in _WORD.findall(text)]
    return " ".join(_singular(word) for word in words if word not in _SMALL)


def _is_symbol(word: str) -> bool:
    """Whether capitals tell a unit from another: N and n, Mb and MB."""
    return (len(word) == 1 and word.isupper()) or (len(word) < 4 and word[1:] != word[1:].lower())


_SMALL = frozenset(
    (
        *("a", "an", "the", "of", "in", "per", "each", "total", "altogether", "left", "now"),
        *("and", "for", "from", "are", "is"),
    )
)
_IRREGULAR = {"children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse",
              "feet": "foot", "geese": "goose", "teeth": "tooth", "pennies": "penny"}  # fmt: skip


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def same_noun(answer: str, reference: str) -> bool:
    """Whether two nouns may be of the same things: one says nothing, or no word that the other does not."""
    a, b = set(answer.split()), set(reference.split())
    return not a or not b or a <= b or b <= a
