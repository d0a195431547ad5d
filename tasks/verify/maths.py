"""The maths verifier: a rule that reads the final answer of a solution and every `<<lhs=rhs>>` on its way.

The outcome is about the final answer alone; the equations are reported beside it as steps, because
"the answer is right" and "every equation holds" are two filters' separate decisions (the rule of
rejection-sampling fine-tuning, Yuan et al. 2023, arXiv 2308.01825).

Covered: the forms of answers in `final_answer.py` and of arithmetic in `equations.py`, on exact rationals;
time linear in the text, whatever it holds; no evaluation of model text. Not covered: answers that are not
one number (a reference of that kind is `unscorable`).
"""

from __future__ import annotations

from functools import lru_cache

from tasks.verify.equations import PER_TOLERANCE, Rational, equations, read_equations
from tasks.verify.final_answer import Reading, canonical_number, read_final_answer, read_reference
from tasks.verify.verifier import Verdict, Verifier

__all__ = ["VERIFIER", "equations", "verify"]

_CACHED_REFERENCES = 4096
_LONGEST_CACHED = 10_000  # characters


def verify(text: str | None, reference: str | None) -> Verdict:
    """The verdict on a solution: pass where its final answer equals the reference's.

    `reference` is a whole GSM8K `answer` field or a bare answer; one without a number, or none at all, is
    unscorable. A text without exactly one marked answer fails, with the reason in the rationale.
    """
    wanted = _reference(reference)
    if wanted.value is None:
        return Verdict("unscorable", None, rationale=f"reference: {wanted.why}")
    if text is None:
        return Verdict("unscorable", None, rationale="there is no text")
    path, steps = read_equations(text)
    found = read_final_answer(text)
    if found.value is None:
        return Verdict("fail", 0.0, steps, found.why, None, path)
    answer = canonical_number(found.value)
    if same_answer(found.value, wanted.value):
        return Verdict("pass", 1.0, steps, "the final answer is the reference's", answer, path)
    why = f"the final answer is not the reference's {_short(canonical_number(wanted.value))}"
    return Verdict("fail", 0.0, steps, why, answer, path)


def same_answer(left: Rational, right: Rational) -> bool:
    """Whether two answers are equal within 1e-3, and within a tenth of the larger one.

    The second bound keeps small answers apart that 1e-3 alone would make equal (0.0002 and 0.0004,
    2**-99 and 2**-98); it never binds from 0.01 on.
    """
    a, b = left[0] * right[1], right[0] * left[1]
    gap = abs(a - b)
    if gap == 0:
        return True
    return gap * PER_TOLERANCE <= left[1] * right[1] and gap * 10 <= max(abs(a), abs(b))


def _reference(reference: str | None) -> Reading:
    if reference is None or not reference.strip():
        return Reading(None, "there is none")
    # The samples of one prompt share a reference; a cache would keep a very long one alive.
    return _short_reference(reference) if len(reference) <= _LONGEST_CACHED else read_reference(reference)


_short_reference = lru_cache(maxsize=_CACHED_REFERENCES)(read_reference)


def _short(answer: str) -> str:
    return answer if len(answer) <= 40 else answer[:40] + "..."


VERIFIER = Verifier("maths", "1", "rule", verify)
