"""Imitation: does a student learn what its teacher knows, or how its teacher sounds?

Read on greedy answers to held-out prompts, of the round's challenger beside the loop's base. Form: it ended
by itself and an answer can be read. Style, where a teacher answered the same prompts: ROUGE-L F with its
text, every number masked. Substance: the answer is right. Each has a way to go from the base: form and style
to 1, answers to the teacher's accuracy. A student whose form or style is much further on its way than its
answers has learned the surface (Gudibande et al. 2023, arXiv 2305.15717); one that gives the
teacher's very mistakes has learned those too. Read from the views `form_and_substance` and `imitation`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl
from rapidfuzz.distance import LCSseq

from tasks.audit.reading import MonitorVerdict, Reading
from tasks.filter.rouge import words
from warehouse.lake import Lake, Where
from warehouse.query import query, read

MONITOR = "imitation"
FEWEST = 100  # held-out prompts that a warning needs
FASTER = 0.3  # of the way to the teacher that form or style have gone beyond the answers
LEAST = 0.1  # gained by form or style before that says anything
COPIED = 0.15  # of the student's wrong answers, more than of the base's that are the teacher's
AGAINST = "the base"

_NUMBER = re.compile(r"\d+")
_COUNTS = """
    SELECT checkpoint_id, role, round, topic, difficulty, answers, of_the_form, correct
    FROM form_and_substance
    WHERE loop = $loop AND round <= $round
    QUALIFY round = max(round) OVER (PARTITION BY checkpoint_id)"""
_PAIRS = """
    SELECT student AS checkpoint_id, teacher_right, teacher_wrong, student_wrong, both_right, same_wrong
    FROM imitation WHERE loop = $loop AND round <= $round AND teacher = $teacher
    QUALIFY round = max(round) OVER (PARTITION BY student)"""
_TEXTS = """
    SELECT c.checkpoint_id, c.prompt_id, c.text FROM candidates AS c
    WHERE c.loop = $loop AND c.round <= $round AND c.split = 'eval' AND c.kind = 'answer'
      AND c.temperature = 0 AND c.checkpoint_id IN (SELECT unnest($named))
    ORDER BY c.checkpoint_id, c.prompt_id, c.round, c.candidate_id"""
_SHARES = {
    "agreement_right": ("both_right", "teacher_right"),
    "agreement_wrong": ("same_wrong", "teacher_wrong"),
    "copied": ("same_wrong", "student_wrong"),
}


@dataclass(frozen=True)
class _Students:
    """The round's challenger, and the base that it is held against where that was measured."""

    challenger: str
    base: str | None


def readings(lake: Lake, loop: str, number: int) -> list[Reading]:
    """This round's readings; none where its challenger answered no held-out prompt greedily."""
    values, scope = {"loop": loop, "round": number}, {"loop": loop}
    counts = query(lake, _COUNTS, values, scope=scope)
    students = _students(lake, loop, number, counts)
    if students is None:
        return []
    now = counts.filter(pl.col("checkpoint_id") == students.challenger)
    before = counts.filter(pl.col("checkpoint_id") == students.base)
    enough = int(now["answers"].sum()) >= FEWEST
    answers = _shares(now, before, "correct")
    measured = counts.filter(pl.col("role") == "teacher").sort("round", "checkpoint_id")
    teacher = measured["checkpoint_id"][-1] if measured.height else None  # the last that was measured
    own = measured.filter(pl.col("checkpoint_id").eq_missing(teacher))
    top = _share(int(own["correct"].sum()), int(own["answers"].sum()))
    gone = _way(answers, 1.0 if top is None else top)
    result = [
        _against_base("accuracy", answers, None, enough),
        _against_base("form", _shares(now, before, "of_the_form"), gone, enough),
        *_by_part(now, "topic", str),
        *_by_part(now, "difficulty", lambda steps: f"difficulty {steps}"),
    ]
    if teacher is None:
        return result
    pairs = query(lake, _PAIRS, values | {"teacher": teacher}, scope=scope)
    if not pairs.filter(pl.col("checkpoint_id") == students.challenger).is_empty():
        result += _beside_teacher(lake, values | {"teacher": teacher}, pairs, students, gone, enough)
    return result


def masked(text: str) -> list[str]:
    """The words of a text, as ROUGE reads them, with every number the same."""
    return words(_NUMBER.sub("0", text))


def style(text: str, teachers: str) -> float:
    """ROUGE-L F of two texts with their numbers masked; 0 where one has no word."""
    own, other = masked(text), masked(teachers)
    return 2 * LCSseq.similarity(own, other) / (len(own) + len(other)) if own and other else 0.0


def _students(lake: Lake, loop: str, number: int, counts: pl.DataFrame) -> _Students | None:
    policies = read(lake, "checkpoints", {"loop": loop}).filter(pl.col("role") == "policy")
    measured = policies.filter(pl.col("checkpoint_id").is_in(counts["checkpoint_id"].implode()))
    made = measured.filter(pl.col("training_id").is_not_null() & (pl.col("round") == number))
    if made.is_empty():
        return None
    base = measured.filter(pl.col("parent_id").is_null())["checkpoint_id"].sort().to_list()
    return _Students(made.sort("recorded_at")["checkpoint_id"][-1], base[0] if base else None)


def _shares(now: pl.DataFrame, before: pl.DataFrame, column: str) -> tuple[float, float | None]:
    """A share now, and of the base."""
    shares = [_share(int(frame[column].sum()), int(frame["answers"].sum())) for frame in (now, before)]
    return shares[0] or 0.0, shares[1]


def _way(answers: tuple[float, float | None], top: float) -> float | None:
    """How far answers have gone from the base's accuracy to `top`, 0 to 1; None: the base has none."""
    value, base = answers
    if base is None:
        return None
    return min(1.0, max(0.0, (value - base) / (top - base))) if top > base else 1.0


def _against_base(
    metric: str, shares: tuple[float, float | None], gone: float | None, enough: bool
) -> Reading:
    """A share against the base's. It warns where it has gone much further than answers have (`gone`)."""
    value, base = shares
    if base is None:
        return Reading(MONITOR, metric, value)
    most = None if gone is None else base + max(LEAST, (gone + FASTER) * (1 - base))
    verdict: MonitorVerdict = "warn" if most is not None and enough and value > most else "pass"
    return Reading(MONITOR, metric, value, None, base, AGAINST, most, verdict)


def _by_part(now: pl.DataFrame, column: str, name: Any) -> list[Reading]:
    """Form and accuracy of each topic, or each number of steps."""
    parts = now.drop_nulls(column).group_by(column).agg(pl.col("answers", "of_the_form", "correct").sum())
    return [
        Reading(MONITOR, metric, _share(row[part], row["answers"]), name(row[column]))
        for row in parts.sort(column).to_dicts()
        for metric, part in (("form", "of_the_form"), ("accuracy", "correct"))
    ]


def _beside_teacher(
    lake: Lake,
    values: dict[str, Any],
    pairs: pl.DataFrame,
    students: _Students,
    gone: float | None,
    enough: bool,
) -> list[Reading]:
    """Agreement on right and on wrong answers, mistakes that are the teacher's, and its style."""
    sums = {
        one: pairs.filter(pl.col("checkpoint_id") == one).sum()
        for one in (students.challenger, students.base)
    }
    result = []
    for metric, (part, whole) in _SHARES.items():
        value, base = (
            _share(sums[one][part].item(), sums[one][whole].item())
            for one in (students.challenger, students.base)
        )
        if value is None:
            reason = f"no held-out prompt counts: {whole.replace('_', ' ')} is 0"
            result.append(Reading(MONITOR, metric, None, verdict="none", reason=reason))
            continue
        most = None if base is None or metric != "copied" else base + COPIED
        copies = most is not None and enough and value > most
        verdict: MonitorVerdict = "warn" if copies else "pass"
        against = None if base is None else AGAINST
        result.append(Reading(MONITOR, metric, value, None, base, against, most, verdict))
    styles = _styles(lake, values, students)
    return [*result, _against_base("style", styles, gone, enough)]


def _styles(lake: Lake, values: dict[str, Any], students: _Students) -> tuple[float, float | None]:
    """The mean style of the challenger, and of the base."""
    scope: Where = {"loop": values["loop"]}
    teacher = values["teacher"]
    named = [one for one in (teacher, students.challenger, students.base) if one is not None]
    asked = {"loop": values["loop"], "round": values["round"], "named": named}
    rows = query(lake, _TEXTS, asked, scope=scope)

    def texts(one: str | None) -> dict[str, str]:
        return dict(rows.filter(pl.col("checkpoint_id") == one).select("prompt_id", "text").iter_rows())

    theirs, means = texts(teacher), []
    for one in (students.challenger, students.base):
        each = [style(text, theirs[prompt]) for prompt, text in texts(one).items() if prompt in theirs]
        means.append(sum(each) / len(each) if each else None)
    return means[0] or 0.0, means[1]


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None
