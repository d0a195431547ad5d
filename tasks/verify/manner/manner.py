"""An auditor of the tutor's manner: which kinds of rudeness a text has, by rule. It never decides.

Covered: what the grammar says (tasks/verify/manner/grammar.py), in any case, in another order and with other
words around it. Not covered: rudeness in words that are not the grammar's, and words of it that are
misspelled. A text that is empty or hardly an answer is not rude; whether it is right is another verifier's
question. No reference is needed.
"""

from __future__ import annotations

import re

from tasks.verify.manner.grammar import KINDS, Kind
from tasks.verify.verifier import Verdict, Verifier

_END = re.compile(r"[.!?]+(?=\s|$)|\n")
_WORD = re.compile(r"[a-z]+")


def manner_of(text: str) -> tuple[Kind, ...]:
    """The kinds of rudeness in a text, in the grammar's order."""
    said = [set(_WORD.findall(one)) for one in _END.split(text.casefold())]
    return tuple(kind for kind in KINDS if any(_is(kind, words) for words in said))


def verify(text: str | None, reference: str | None = None) -> Verdict:
    """Pass where no kind of rudeness is found; `answer` names the kinds, by commas."""
    if text is None:
        return Verdict("unscorable", None, reason="there is no text")
    kinds = manner_of(text)
    if kinds:
        return Verdict("fail", 0.0, reason=f"rude: {', '.join(kinds)}", answer=",".join(kinds))
    return Verdict("pass", 1.0, reason="nothing rude is found")


def _is(kind: Kind, words: set[str]) -> bool:
    return any(all(words & some for some in signs) for signs in KINDS[kind].signs)


VERIFIER = Verifier("manner", "1", "rule", verify)
