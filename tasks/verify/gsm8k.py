"""GSM8K's own rule: the first number after `####`, commas removed, equal to the reference's as text.

It shares no code with the maths verifier and reads far less, because it is a second, independent opinion on a
sample of prompts, which no filter sees. The rule is that of Cobbe et al. 2021 (arXiv 2110.14168).
"""

from __future__ import annotations

import re

from tasks.verify.verifier import Verdict, Verifier

_MARKED = re.compile(r"#### (-?[0-9.,]+)")
_NUMBER = re.compile(r"-?[0-9][0-9.,]*")
_LONGEST = 40  # characters of an answer that a row keeps


def verify(text: str | None, reference: str | None) -> Verdict:
    """Pass where the text's marked number is the reference's, to the character."""
    expected = _reference_number(reference or "")
    if expected is None:
        return Verdict("unscorable", None, reason="the reference is not a number that GSM8K's rule reads")
    if text is None:
        return Verdict("unscorable", None, reason="there is no text")
    answer = _marked(text)
    if answer is None:
        return Verdict("fail", 0.0, reason="no number after ####")
    same = answer == expected
    why = "the marked number is the reference's" if same else "the marked number is not the reference's"
    return Verdict("pass" if same else "fail", float(same), reason=why, answer=answer[:_LONGEST])


def _reference_number(reference: str) -> str | None:
    bare = _NUMBER.fullmatch(reference.strip())
    return _plain(bare[0]) if bare else _marked(reference)


def _marked(text: str) -> str | None:
    answer = _MARKED.search(text)
    return _plain(answer[1]) if answer else None


def _plain(number: str) -> str:
    return number.replace(",", "").removesuffix(".")


VERIFIER = Verifier("gsm8k", "1", "rule", verify)
