"""The tutor's seed sets: demonstrations of answering and of judging, by people as mixed as its writers.

What the paper calls IFT (instruction fine-tuning) data are stories with a solution each, by careful and
careless writers; its EFT (evaluation fine-tuning) data are answers to stories with a grader's critique and
score. Graders are careless in one of ten (tutor/grading.py) and blind in the topics of `BLIND`.
"""

from __future__ import annotations

import random

import polars as pl

from schemas.ids import digest
from tasks.admit.reading import SOURCED
from tutor.grading import graded_points
from tutor.phrases import Family
from tutor.world import stories
from tutor.writers import write

BLIND = frozenset(("packing", "sharing"))
"""Topics that these graders misread as the careless writers do: all division but halving."""

DEMONSTRATED = pl.Schema([*SOURCED.items(), ("response", pl.String())])
"""Columns of a seed set: a prompt's, without a reference, and the response demonstrated."""


def answering(seed: int, count: int, family: Family = "practice") -> pl.DataFrame:
    """`count` stories with a solution each, the same ones for the same seed; columns as `DEMONSTRATED`."""
    own, rng = _seeded("answering", seed, family)
    rows = []
    for story in stories(own, count, family):
        solution, _ = write(story, rng)
        rows.append((story.question, solution, story.topic))
    return _frame(rows, "answering", own)


def judging(seed: int, count: int, family: Family = "practice") -> pl.DataFrame:
    """`count` answers to stories with a grader's critique and score; columns as `DEMONSTRATED`."""
    own, rng = _seeded("judging", seed, family)
    gradings = [graded_points(story, rng, BLIND) for story in stories(own, count, family)]
    return _frame([(one.question, one.solution, one.topic) for one in gradings], "judging", own)


def _seeded(kind: str, seed: int, family: Family) -> tuple[int, random.Random]:
    """A seed of the stories that no round's own shares, and what writers draw from."""
    family_too = () if family == "practice" else (family,)
    own = int(digest(("seeds", kind, seed, *family_too))[:8], 16)
    return own, random.Random(f"{kind}:{own}")  # noqa: S311


def _frame(rows: list[tuple[str, str, str]], kind: str, seed: int) -> pl.DataFrame:
    records = [
        {"source": f"tutor:{kind}:{seed}", "line": line, "text": text, "response": response, "topic": topic}
        for line, (text, response, topic) in enumerate(rows, start=1)
    ]
    return pl.DataFrame(records, schema=DEMONSTRATED)
