"""Reads a judge's text strictly: exactly one verdict, in the rubric's form, on the last line, or none at all.

A text that was cut off, holds no verdict, several different ones, one outside the menu or one in another form
is an error with a reason. An error is never a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tasks.generate.engine import FinishReason
from tasks.verify.judge.rubric import Rubric
from tasks.verify.verifier import Verdict

_SHOWN_VOTES = 12  # of a reason


@dataclass(frozen=True, slots=True)
class Vote:
    """One judgement as read: the verdict as it stands on the menu, or None and why there is none.

    `expected` are points by the judge's own probabilities (`expected.py`).
    """

    verdict: str | None
    why: str = ""
    expected: float | None = None

    @property
    def points(self) -> float | None:
        """The expected points where they are known, else the verdict as a number (a menu of points)."""
        if self.expected is not None:
            return self.expected
        return None if self.verdict is None else float(self.verdict)


def read_vote(text: str, finish_reason: FinishReason, rubric: Rubric) -> Vote:
    """The vote that a judge's text gives under a rubric."""
    if finish_reason != "stop":
        return Vote(None, "cut off")
    if rubric.reasoning:
        text, why = _after_reasoning(text)
        if why:
            return Vote(None, why)
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    if len(lines) > 1 and lines[-1] == "```" and rubric.form == "json":
        lines = lines[:-1]
    likely, exact = _forms(rubric.verdict, rubric.form)
    verdict_lines = [line for line in lines if likely.match(line)]
    if not verdict_lines:
        return Vote(None, "no verdict")
    matches = [exact.fullmatch(line) for line in verdict_lines]
    if not all(matches):
        return Vote(None, "a verdict in another form")
    verdicts = {one[1] for one in matches if one}
    if len(verdicts) > 1:
        return Vote(None, "several different verdicts")
    if verdict_lines[-1] is not lines[-1]:
        return Vote(None, "the verdict is not the last line")
    verdict = verdicts.pop()
    return Vote(verdict) if verdict in rubric.menu else Vote(None, "a verdict outside the menu")


def _after_reasoning(text: str) -> tuple[str, str]:
    """What follows the reasoning, or why there is nothing to read."""
    _, closed, after = text.rpartition("</think>")
    if not closed and "<think>" in text:
        return "", "cut off in its reasoning"
    return (after if closed else text), ""


@lru_cache(maxsize=16)
def _forms(word: str, form: str = "line") -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What looks like a verdict (any case, behind marks of emphasis or a quote), and what is one."""
    if form == "brackets":
        return re.compile(r".*\[\["), re.compile(r"[^\[\]]{0,200}\[\[([0-9A-Za-z.,/+-]{1,12})\]\][.*]{0,3}")
    if form == "json":
        key = rf'"{word.lower()}"'
        exact = rf'\{{(?:.*,)?\s*{key}\s*:\s*"?([0-9A-Za-z.,/+-]{{1,12}})"?\s*\}}'
        return re.compile(rf".*{key}", re.IGNORECASE), re.compile(exact)
    likely = re.compile(rf"[\W_]*(?:final\s+)?{word}\b", re.IGNORECASE)
    return likely, re.compile(rf"{word}: ([0-9A-Za-z.,/+-]{{1,12}})")


def mean_verdict(votes: Sequence[Vote], rubric: Rubric) -> Verdict:
    """The votes' mean as a verdict."""
    points = tuple(vote.points for vote in votes if vote.points is not None)
    reason = "votes " + ", ".join(_shown(vote) for vote in votes[:_SHOWN_VOTES])
    if len(points) < rubric.least_valid:
        return Verdict("error", None, points, f"{reason}: {rubric.least_valid} valid ones are needed")
    assert rubric.pass_from is not None
    mean = sum(points) / len(points)
    if mean >= rubric.pass_from:
        return Verdict("pass", mean, points, reason)
    return Verdict("fail", mean, points, f"{reason}: below {rubric.pass_from:g}")


def _shown(vote: Vote) -> str:
    if vote.verdict is None:
        return f"none ({vote.why})"
    return vote.verdict if vote.expected is None else f"{vote.verdict} (expected {vote.expected:.2f})"
