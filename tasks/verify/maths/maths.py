"""The maths verifier: a rule that reads the final answer of a solution and every `<<lhs=rhs>>` on its way.

The outcome is about the final answer alone; the equations are reported beside it as steps, because
"the answer is right" and "every equation holds" are two filters' separate decisions (the rule of
rejection-sampling fine-tuning, Yuan et al. 2023, arXiv 2308.01825).

Covered: numbers in every common form (`plain_number.py`), and answers as MATH has them (Hendrycks et al.
2021, arXiv 2103.03874): expressions, equations, inequalities, intervals, sets, points, matrices, units, text
(`answers.py`, `equal.py`), after the markers of `marks.py`. Nothing of a text is evaluated as code, every
computation is bounded by the size of what was written, and time is linear in the text.

Decisions. 10% equals 10% only: not 10, not 0.1, and 10 is not 10% (`\\boxed{10}\\%` is read as either).
Otherwise a bare number equals one with a unit. A decimal of three places or more stands for a rational that
rounds to it (0.333 for 1/3; not 0.33, and 0.501 not for 1/2), one of six digits for an irrational. Several
boxes must all hold the reference's answer, or together be its list. Arithmetic on plain numbers (3*4) must
be done where the reference has done it. A numeral in base 2 equals only itself in base 2.

Not covered: sums, integrals and limits, set builders, congruences; they equal only the same writing. A
reference that offers a choice ("A or B") or is empty is `unscorable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tasks.verify.maths.answers import Answer, is_letter, letter, read_answer
from tasks.verify.maths.equal import same
from tasks.verify.maths.equations import Rational, equations, read_equations
from tasks.verify.maths.expression import Measure, Name, Number, Words, rational
from tasks.verify.maths.glyphs import storable
from tasks.verify.maths.marks import MOST_BOXES, boxes, marked_phrase, percent_follows
from tasks.verify.maths.plain_number import canonical_number, read_number, read_short
from tasks.verify.maths.scalars import near
from tasks.verify.verifier import Verdict, Verifier

__all__ = ["VERIFIER", "equations", "verify"]

_CACHED_REFERENCES = 4096
_LONGEST_CACHED = 10_000  # characters
_LONGEST_SHOWN = 200  # characters of an answer in a verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference as read: its number where it is one and nothing else, and whether that is a decimal."""

    answer: Answer
    value: Rational | None = None
    rounded: bool = False


def verify(text: str | None, reference: str | None) -> Verdict:
    """The verdict on a solution: pass where its final answer equals the reference's.

    `reference` is a whole solution that marks its answer (a GSM8K `answer` field, a MATH `solution`) or a
    bare answer; one without an answer, or none at all, is unscorable. A text without exactly one marked
    answer fails, with the reason in the rationale.
    """
    wanted = _reference(reference)
    if wanted.answer.tree is None and not wanted.answer.written:
        return Verdict("unscorable", None, rationale=f"reference: {wanted.answer.why}")
    if text is None:
        return Verdict("unscorable", None, rationale="there is no text")
    path, steps = read_equations(text)
    phrase = marked_phrase(text)
    if phrase is None:
        return Verdict("fail", 0.0, steps, "no marked final answer", None, path)
    answer, equal, why = _judge_boxes(text, phrase, wanted)
    if equal:
        return Verdict("pass", 1.0, steps, "the final answer is the reference's", answer, path)
    if answer is not None and not why:
        why = f"the final answer is not the reference's {_short(_shown(wanted.answer))}"
    return Verdict("fail", 0.0, steps, why, answer, path)


def judge(phrase: str, wanted: Wanted) -> tuple[str | None, bool, str]:
    """A marked phrase against a reference: the answer as read, whether it is equal, and why not."""
    if wanted.value is not None:
        found = read_number(phrase)
        if found.value is not None:
            decimals = found.rounded, wanted.rounded
            equal = not found.percent and same_number(found.value, wanted.value, decimals)
            return canonical_number(found.value) + "%" * found.percent, equal, ""
    answer = _candidate(phrase)
    if answer.tree is None and not answer.written:
        return None, False, answer.why
    if is_letter(wanted.answer.tree) and letter(phrase):
        return letter(phrase), wanted.answer.tree == Name(letter(phrase)), ""
    if answer.tree is None or wanted.answer.tree is None:
        equal = answer.tree is wanted.answer.tree and answer.written == wanted.answer.written
        return _shown(answer), equal, "" if equal else answer.why
    return _shown(answer), same(answer.tree, wanted.answer.tree), ""


def same_number(found: Rational, wanted: Rational, decimals: tuple[bool, bool]) -> bool:
    """Whether two numbers are equal, or one that was written as a decimal is the other, rounded."""
    if found[0] * wanted[1] == wanted[0] * found[1]:
        return True
    return any(decimals) and near(Fraction(*found), Fraction(*wanted), decimals)


def _candidate(phrase: str) -> Answer:
    """A phrase as the grammar reads it, else as the one number that its prose states."""
    answer = read_answer(phrase)
    if answer.tree is not None and not isinstance(answer.tree, Words):
        return answer
    number = read_number(phrase)
    if number.value is None:
        return answer
    value = Number(Fraction(*number.value), int(number.rounded))
    return Answer(Measure(value, "%") if number.percent else value, answer.written or phrase)


def _judge_boxes(text: str, phrase: str, wanted: Wanted) -> tuple[str | None, bool, str]:
    """As `judge`; several boxes must all hold the reference's answer, or together be its list."""
    held = boxes(text)
    if held is None:
        return None, False, f"more than {MOST_BOXES} boxed answers"
    said = judge(phrase, wanted)
    distinct = list(dict.fromkeys(held))
    if len(distinct) > 1 and not all(judge(each, wanted)[1] for each in distinct):
        answer, equal, _ = judge(", ".join(distinct), wanted)
        return answer, equal, "" if equal else "several boxes that hold different answers"
    if said[2] and held:  # prose after the box that marks nothing
        said = judge(held[-1], wanted)
    if not said[1] and held and percent_follows(text):
        said = judge(f"{held[-1]}%", wanted)
    return said


def read_reference(reference: str) -> Wanted:
    """A reference: what it marks, or all of it."""
    phrase = marked_phrase(reference)
    held = dict.fromkeys(boxes(reference) or ())
    if len(held) > 1:
        phrase = ", ".join(held)
    short = read_short(reference if phrase is None else phrase)
    if short and short.value:
        tree = Number(Fraction(*short.value), int(short.rounded))
        return Wanted(Answer(tree, reference), short.value, short.rounded)
    answer = _candidate(reference.strip() if phrase is None else phrase)
    number = rational(answer.tree) if answer.tree is not None else None
    if number is None:
        return Wanted(answer)
    return Wanted(answer, number.value.as_integer_ratio(), bool(number.places))


def _reference(reference: str | None) -> Wanted:
    if reference is None or not reference.strip():
        return Wanted(Answer(None, "", "there is none"))
    # The samples of one prompt share a reference; a cache would keep a very long one alive.
    return _short_reference(reference) if len(reference) <= _LONGEST_CACHED else read_reference(reference)


_short_reference = lru_cache(maxsize=_CACHED_REFERENCES)(read_reference)


def _shown(answer: Answer) -> str:
    """An answer as one text: a number in canonical form, anything else as written, without spaces."""
    tree, sign = answer.tree, ""
    if isinstance(tree, Measure):
        sign = "%" if tree.unit == "%" else ""
        tree = tree.amount
    number = rational(tree) if tree is not None else None
    if number is not None:
        return canonical_number(number.value.as_integer_ratio()) + sign
    return storable(answer.written)[:_LONGEST_SHOWN]


def _short(answer: str) -> str:
    return ascii(answer)[1:-1] if len(answer) <= 40 else ascii(answer[:40])[1:-1] + "..."


VERIFIER = Verifier("maths", "2", "rule", verify)
