"""Words beside a box that bound, change or deny what it holds.

Whole sentences stand there, so only words that are known to do so count: the last ones before the box, the
first after it. Between "the answer is" and the box only the words of `words.py` may stand.
"""

from __future__ import annotations

import re

from tasks.verify.maths.words import may_lead

_REACH = 60  # characters on either side

_BEFORE = re.compile(
    r"""(?:\b(?:at\s+(?:least|most)|up\s+to|times|unlikely|can\s?not|impossible|except|not|never|nearly|almost
    |(?:more|less|fewer|greater|smaller|larger|bigger|higher|lower|other|rather)\s+than|different\s+from
    |(?:(?:is|are|was|be|number|value|anything|strictly|just)\s+)(?:not|never|under|over|above|below|beyond|past)
    |(?:all|any\w*|every\w*|no\w*|integers?|numbers?)\s+but|between|(?:close|prime|coprime)\s+to|off\s+by
    |exceed(?:s|ed|ing)?|bounded(?:\s+(?:above|below))?\s+by|plus|minus|modulo|mod|choose
    |(?:divisible|divided|multiplied|increased|decreased|reduced|exceeded)\s+by
    |half(?:\s+of)?|third\s+of|twice|double|triple|thrice
    |(?:wrong|incorrect|false)\s+(?:answer|value|result)\s+(?:is|would\s+be)
    |(?:[0-9]|\b(?:one|e))\s+(?:over|to\s+the)|base\s+[0-9]+\s+of
    |(?:sum|difference|product|ratio|average|mean|quotient|gcd|lcm)\s+(?:of|between)\s+[^\s.]{1,20}\s+(?:and|to)
    |(?:square|cube|root|negative|reciprocal|factorial|multiple|divisor|factor|opposite|inverse|power|log|logarithm
        |sine|cosine|tangent|absolute\s+value)s?\s+of(?:\s+(?:minus|negative))?)
    |n['\u2019]t)(?:\s+(?:to\s+)?(?:be|equal|equal\s+to))?[\s$\\([*]*$""",
    re.IGNORECASE | re.VERBOSE,
)
_AFTER = re.compile(
    r"""[\s$)*~]{0,4}(?:\\(?:text|mbox|mathrm)\s*\{\s*)?
    (?:(?:is|was|are)(?:\s+not|n['\u2019]t)\b(?!\s+(?:only|just))
    |(?:is|was|would\s+be)\s+(?:wrong|incorrect|false|impossible)\b|can(?:not|['\u2019]t)\s+be\b
    |(?:squared|cubed|factorial|plus|minus|fold|doubled|tripled|halved|halves|thirds|quarters)\b
    |(?:ten|hundred|thousand|million|billion|four|fif|six|seven|eigh|nin)th?s\b|-(?:ish|fold)\b
    |times\s+(?:as|the|that|more|two|three|four|[0-9])|less\s+[0-9]|choose\s+[0-9]|to\s+(?:the\s+power|(?:the\s+)?[0-9])
    |over\s+[0-9]+\s{0,4}(?:[.$\n]|$)|(?:degrees\s+)?below\b|short\s+of\b|(?-i:[MBkK])\b(?=\s*(?:[}$.,]|$))
    |(?:or|and)\s+(?:more|less|fewer|greater|higher|lower|above|below|up|over|under)\b
    |(?:divided|multiplied|raised|reduced|increased|decreased)\s+(?:by|to)\b
    |(?:more|less|fewer|greater|smaller|larger)\s+than\b|(?:per\s?cent|\\?%)[\s$]+of\b|at\s+(?:least|most)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_ANSWER_IS = re.compile(
    r"\banswer\s+(?:is|equals|must\s+be|should\s+be)\b([^\\$=<>,;:.()]{1,60})[\s$*(\\]*$", re.IGNORECASE
)
_LED = re.compile(
    r"\b(?:given|found|calculated|determined|computed|represented|expressed|written|shown|seen)\s+(?:by|to\s+be|as|in|below)\b"
)
_COMES_TO = re.compile(
    r"\b(?:round|add|sum|come|total|work)[a-z]*\b(?:[^.\n]|\.(?=[0-9]))*\bup\s+to[\s$\\([*]*$", re.IGNORECASE
)
_DIGIT = re.compile("[0-9]")


def is_doubted(text: str, start: int, end: int) -> bool:
    """Whether words beside the box from `start` to `end` bound, change or deny it."""
    before = text[max(0, start - 2 * _REACH) : start].rpartition("\n")[2]
    stated = _ANSWER_IS.search(before)
    if stated and (_DIGIT.search(stated[1]) or not may_lead(_LED.sub("", stated[1]))):
        return True
    before = before[-_REACH:]
    return bool(
        (_BEFORE.search(before) and not _COMES_TO.search(before)) or _AFTER.match(text, end, end + _REACH)
    )
