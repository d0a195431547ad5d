"""Reads a judge's text strictly: exactly one verdict, in the rubric's form, on the last line, or none at all.

A text that was cut off, holds no verdict, several different ones, one outside the menu or one in another form
is an error with a reason. An error is never a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tasks.generate.engine import FinishReason
from tasks.verify.judge.rubric import Rubric


@dataclass(frozen=True, slots=True)
class Vote:
    """One judgement as read: the verdict as it stands on the menu, or None and why there is none."""

    verdict: str | None
    why: str = ""

    @property
    def points(self) -> float | None:
        """The verdict as a number, where the menu is one of points."""
        return None if self.verdict is None else float(self.verdict)


def read_vote(text: str, finish_reason: FinishReason, rubric: Rubric) -> Vote:
    """The vote that a judge's text gives under a rubric."""
    if finish_reason != "stop":
        return Vote(None, "cut off")
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    likely, exact = _forms(rubric.verdict)
    stated = [line for line in lines if likely.match(line)]
    if not stated:
        return Vote(None, "no verdict")
    read = [exact.fullmatch(line) for line in stated]
    if not all(read):
        return Vote(None, "a verdict in another form")
    found = {one[1] for one in read if one}
    if len(found) > 1:
        return Vote(None, "several different verdicts")
    if stated[-1] is not lines[-1]:
        return Vote(None, "the verdict is not the last line")
    verdict = found.pop()
    return Vote(verdict) if verdict in rubric.menu else Vote(None, "a verdict outside the menu")


@lru_cache(maxsize=16)
def _forms(word: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What looks like a verdict (any case, behind marks of emphasis or a quote), and what is one."""
    likely = re.compile(rf"[\W_]*(?:final\s+)?{word}\b", re.IGNORECASE)
    return likely, re.compile(rf"{word}: ([0-9A-Za-z.,/+-]{{1,12}})")
