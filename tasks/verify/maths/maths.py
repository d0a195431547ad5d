"""The maths verifier: a rule that reads the final answer of a solution and every `<<lhs=rhs>>` on its way.

The outcome is about the final answer alone; the equations are reported beside it as steps, because
"the answer is right" and "every equation holds" are two filters' separate decisions (the rule of
rejection-sampling fine-tuning, Yuan et al. 2023, arXiv 2308.01825).

Covered: numbers in every common form (`plain_number.py`), and answers as MATH has them (Hendrycks et al.
2021, arXiv 2103.03874): expressions, equations, inequalities, intervals, sets, points, matrices, units, text
(`answers.py`, `equal.py`), after the markers of `marks.py`. Nothing of a text is evaluated as code, every
computation is bounded by the size of what was written, and time is linear in the text.

Decisions, some of which a user may change (`with_strictness`). 10% equals 10% only: not 10, not 0.1, and 10
is not 10% (`\\boxed{10}\\%` is read as either). Otherwise a bare number equals one with a unit. A decimal
of three places or more stands for a rational that rounds to it (0.333 for 1/3; not 0.33, and 0.501 not for
1/2), one of six digits for an irrational; a reference's needs only two and three. Boxes of the last
sentence must all hold the reference's answer, or together be its list. "1 or 2" is a list. Arithmetic on
plain numbers (3*4) must be done where the reference has done it. A numeral in base 2 equals only itself in
base 2.

Not covered: sums, integrals and limits, congruences; they equal only the same writing. A
reference that offers a choice ("A or B") or is empty is `unscorable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

from schemas.recipes.strictness import Strictness
from tasks.verify.maths.answers import Answer, is_letter, letter, read_answer
from tasks.verify.maths.equal import same
from tasks.verify.maths.equations import Rational, equations, read_equations
from tasks.verify.maths.expression import Measure, Name, Number, Words, rational
from tasks.verify.maths.glyphs import storable
from tasks.verify.maths.loosened import same_by
from tasks.verify.maths.marks import Marked, find_mark
from tasks.verify.maths.plain_number import Reading, canonical_number, read_number, read_short
from tasks.verify.maths.scalars import near, rounds_to
from tasks.verify.maths.units import CURRENCY, ratio
from tasks.verify.references import accepted_of
from tasks.verify.verifier import Verdict, Verifier

__all__ = ["VERIFIER", "equations", "verify"]

_MARKS = re.compile(r"####|box|nswer|<|\*\*|A:|\n")  # a reference without any of them is an answer as it is
_SIGN = re.compile("[" + "".join(CURRENCY) + "]")
LONGEST_BARE = 200
_CACHED_REFERENCES = 4096
_LONGEST_CACHED = 10_000  # characters
_LONGEST_SHOWN = 200  # characters of an answer in a verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reference as read: its number where it is one and nothing else, and whether that is a decimal."""

    answer: Answer
    value: Rational | None = None
    rounded: bool = False
    unit: str = ""


def verify(text: str | None, reference: str | None, strictness: Strictness | None = None) -> Verdict:
    """The verdict on a solution: pass where its final answer equals the reference's.

    `reference` is a whole solution that marks its answer (a GSM8K `answer` field, a MATH `solution`), a
    bare answer, or a list of several that are accepted (`references.py`); one without an answer, or none at
    all, is unscorable. A text without exactly one marked answer fails, and says why in its reason.
    """
    targets = [_reference(one) for one in (accepted_of(reference) if reference else (reference,))]
    readable = [each for each in targets if each.answer.tree is not None or each.answer.written]
    unread = next((each.answer.why for each in targets if each not in readable), None)
    if not readable:
        return Verdict("unscorable", None, reason=f"reference: {unread}")
    if text is None:
        return Verdict("unscorable", None, reason="there is no text")
    path, steps = read_equations(text)
    mark = find_mark(text)
    results = [_compare_mark(mark, each, strictness) for each in readable]
    for answer, equal, _ in results:
        if equal:
            return Verdict("pass", 1.0, steps, "the final answer is the reference's", answer, path)
    if unread is not None:  # the one that cannot be read may be the one that is right
        return Verdict("unscorable", None, reason=f"reference: {unread}")
    answer, _, why = results[0]
    if answer is not None and not why:
        other = "the reference's" if len(targets) == 1 else f"any of {len(targets)} references', the first"
        why = f"the final answer is not {other} {_short(_shown(targets[0].answer))}"
    return Verdict("fail", 0.0, steps, why, answer, path)


def with_strictness(strictness: Strictness) -> Verifier:
    """The verifier by a user's own strictness."""
    version = strictness.label(VERIFIER.version, ("percent", "tolerance", "units"))
    if version == VERIFIER.version:
        return VERIFIER
    return Verifier(VERIFIER.name, version, VERIFIER.kind, partial(verify, strictness=strictness))


def compare_phrase(
    phrase: str, reference: Wanted, strictness: Strictness | None = None
) -> tuple[str | None, bool, str]:
    """A marked phrase against a reference: the answer as read, whether it is equal, and why not."""
    answer, equal, why = _compare_by_rule(phrase, reference)
    if strictness is None or reference.answer.tree is None:
        return answer, equal, why
    tree = _candidate(phrase).tree
    if tree is None:
        return answer, equal, why
    wanted_tree = reference.answer.tree
    if reference.unit and not isinstance(wanted_tree, Measure):
        wanted_tree = Measure(wanted_tree, reference.unit)
    by_user = same_by(tree, wanted_tree, equal, strictness)
    return (
        answer,
        by_user,
        "the reference's unit is missing" if equal and not by_user else "" if by_user else why,
    )


def _compare_by_rule(phrase: str, reference: Wanted) -> tuple[str | None, bool, str]:
    """The same by the verifier's own strictness."""
    if reference.value is not None:
        number = read_number(phrase)
        if number.value is not None:
            decimals = bool(number.rounded), reference.rounded
            value = _in_unit(number, reference.unit)
            equal = value is not None and same_number(value, reference.value, decimals)
            return canonical_number(number.value) + "%" * number.percent, equal, ""
    answer = _candidate(phrase)
    if answer.tree is None and not answer.written:
        return None, False, answer.why
    if is_letter(reference.answer.tree) and letter(phrase):
        return letter(phrase), reference.answer.tree == Name(letter(phrase)), ""
    if answer.tree is None or reference.answer.tree is None:
        equal = answer.tree is reference.answer.tree and answer.written == reference.answer.written
        return _shown(answer), equal, "" if equal else answer.why
    return _shown(answer), same(answer.tree, reference.answer.tree), ""


def _in_unit(reading: Reading, unit: str) -> Rational | None:
    """The number in the reference's unit; None where it cannot be had in that, or is a percentage."""
    if reading.percent or reading.value is None or not unit or not reading.unit:
        return None if reading.percent else reading.value
    part = ratio(reading.unit, unit)
    return None if part is None else (Fraction(*reading.value) * part).as_integer_ratio()


def same_number(answer: Rational, reference: Rational, decimals: tuple[bool, bool]) -> bool:
    """Whether two numbers are equal, or one that was written as a decimal is the other, rounded."""
    if answer[0] * reference[1] == reference[0] * answer[1]:
        return True
    if decimals == (False, True) and rounds_to(Fraction(*answer), Fraction(*reference)):
        return True
    return any(decimals) and near(Fraction(*answer), Fraction(*reference), decimals)


def _candidate(phrase: str) -> Answer:
    """A phrase as the grammar reads it, else as the one number that its prose states."""
    answer = read_answer(phrase)
    if answer.tree is not None and not isinstance(answer.tree, Words):
        return answer
    number = read_number(phrase)
    if number.value is None:
        return answer
    value = Number(Fraction(*number.value), number.rounded)
    unit = "%" if number.percent else number.unit if _SIGN.search(phrase) else ""
    return Answer(Measure(value, unit) if unit else value, answer.written or phrase)


def _compare_mark(
    mark: Marked, reference: Wanted, strictness: Strictness | None = None
) -> tuple[str | None, bool, str]:
    """A marked answer against a reference, as `compare_phrase` returns it.

    Several boxes of one sentence must each hold the reference's answer, or together be its list.
    """
    if mark.boxes is None:
        return (
            (None, False, "no marked final answer")
            if mark.phrase is None
            else compare_phrase(mark.phrase, reference, strictness)
        )
    if mark.boxes.why:
        return None, False, mark.boxes.why
    boxes = mark.boxes.content
    result = compare_phrase(boxes[-1], reference, strictness)
    if len(boxes) > 1 and not all(compare_phrase(each, reference, strictness)[1] for each in boxes):
        answer, equal, _ = compare_phrase(", ".join(boxes), reference, strictness)
        return answer, equal, "" if equal else "several boxes that hold different answers"
    if not result[1] and mark.boxes.percent:
        result = compare_phrase(f"{boxes[-1]}%", reference, strictness)
    return result


def read_reference(reference: str) -> Wanted:
    """A reference: what it marks, or all of it."""
    mark = find_mark(reference) if len(reference) > LONGEST_BARE or _MARKS.search(reference) else Marked()
    if mark.boxes is not None and mark.boxes.why:
        return Wanted(Answer(None, "", mark.boxes.why))
    phrase = mark.phrase if mark.boxes is None else ", ".join(mark.boxes.content)
    short = read_short(reference if phrase is None else phrase)
    if short and short.value:
        tree = Number(Fraction(*short.value), short.rounded)
        unit = "dollar" if "$" in (reference if phrase is None else phrase) else ""
        return Wanted(Answer(tree, reference), short.value, bool(short.rounded), unit)
    answer = _candidate(reference.strip() if phrase is None else phrase)
    if answer.choice:
        return Wanted(Answer(None, "", "more than one answer, joined by 'or'"))
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


def explain(text: str, reference: str) -> dict[str, str | None]:
    """How a verdict comes about: the marked answer, and how it and the reference are read.

    Of several references it is the first that the answer equals, else the first.
    """
    accepted = accepted_of(reference)
    equal = (one for one in accepted if len(accepted) > 1 and verify(text, one).outcome == "pass")
    mark, target = find_mark(text), _reference(next(equal, accepted[0]))
    phrase = " | ".join(mark.boxes.content) if mark.boxes is not None else mark.phrase
    answer = _candidate(phrase) if phrase else Answer(None, "")
    return {
        "marked": phrase if phrase is None else storable(phrase)[:_LONGEST_SHOWN],
        "by": "box" if mark.boxes is not None else None if phrase is None else "phrase",
        "read_as": type(answer.tree).__name__.lower() if answer.tree is not None else answer.why or "writing",
        "reference": _shown(target.answer) or target.answer.why,
        "reference_read_as": type(target.answer.tree).__name__.lower() if target.answer.tree else "writing",
    }


def _short(answer: str) -> str:
    return ascii(answer)[1:-1] if len(answer) <= 40 else ascii(answer[:40])[1:-1] + "..."


VERIFIER = Verifier("maths", "5", "rule", verify)
