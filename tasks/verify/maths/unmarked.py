"""Reads the answer of a text without a mark: one that is nothing but a value or an option's letter, or whose
last sentence says which is the answer ("Therefore, 7 is the answer", "Option B is correct").
"""

from __future__ import annotations

import re

from tasks.verify.maths.expression import LONGEST
from tasks.verify.maths.glyphs import fold

_NUMBER = re.compile(r"[^A-DF-Za-df-z\n]*[0-9][^A-DF-Za-df-z\n]*")
_NAMED = re.compile(r"[$\\(*\s]{0,6}[A-Za-z]\s{0,4}=(?!=)[^\n=<>]{1,80}")
_LETTER = re.compile(
    r"[\s*`$(\[]{0,8}(?:\\text(?:bf)?\{)?\(?([A-J])(?:[\s)\]*`$}.:]{0,8}|[).:]\**\s(?P<rest>[^\n]{1,200}))"
)
_OTHER = re.compile(r"(?<![A-Za-z\\])(?:[B-J]|A(?!\s+[a-z])|or)(?![A-Za-z])")
_LAST = re.compile(
    r"""(?:^|[.!?:]\s+|\n\s*)(?:[*_]{1,3})?(?:(?:so|thus|hence|therefore|then|finally|in\s+conclusion),?\s+)?
    (?:(?:I\s+(?:choose|chose|pick|select|would\s+(?:choose|pick)|go\s+with)|choose|select|pick)\s+
        (?:the\s+)?(?:option|choice|answer)?\s*[*(]{0,3}(?P<chosen>[A-J])[)*]{0,3}
    |(?:(?:the\s+)?(?:option|choice|statement)\s+)?(?P<stated>[^\s]{1,40})\s+is\s+(?:therefore\s+|thus\s+)?
        (?:the\s+(?:(?:final|correct|right|best|required|desired)\s+){0,2}(?:answer|option|choice)|(?P<right>correct|right)))
    [.!*]{0,3}\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_VALUE = re.compile(r"[-$\\(*{]*(?:[0-9]|[A-J]\)?\**$)")
_OPTION = re.compile(r"[(*]*[A-J][)*]*")


def unmarked(text: str) -> str | None:
    """The answer that a text states without a mark; None where it states none."""
    bare = text.strip() if len(text) <= LONGEST else ""
    if _NUMBER.fullmatch(fold(bare, " {}")) or _NAMED.fullmatch(bare):
        return bare
    letter = _LETTER.fullmatch(bare)
    if letter:
        return None if _OTHER.search(letter["rest"] or "") else letter[1]
    return _in_last_sentence(text[-300:])


def _in_last_sentence(end: str) -> str | None:
    """What the last sentence says is the answer; of "is correct" an option's letter alone."""
    match = _LAST.search(end) if "is" in end or "I " in end or "oose" in end else None
    if not match:
        return None
    if match["chosen"]:
        return match["chosen"].upper()
    stated = match["stated"].strip("*")
    return stated if (_OPTION if match["right"] else _VALUE).match(stated) else None
