"""What the seeded tutor is taught: both seed sets, telling one more story, and sums, lest it forget them.

Seeded is what the paper of self-rewarding calls its first model: the base after fine-tuning on
demonstrations of answering (IFT) and of judging (EFT); see tutor/seeds.py. The loops' own seed sets are
drawn apart from these.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from tasks.invent.inventor import load_inventor
from tutor.corpus import RENAMED, Written, renamed, worked_sums
from tutor.grading import drill, graded_points
from tutor.phrases import Family
from tutor.seeds import BLIND
from tutor.world import Story, stories
from tutor.writers import write

SHARES: Mapping[str, float] = {
    "answering": 0.35,
    "judging": 0.40,
    "inventing": 0.10,
    "drill": 0.08,
    "sums": 0.07,
}
"""The shares of the lessons' kinds. Drills hold numbers against each other, as judging does."""
MOST_STORIES = 3
"""Stories that one lesson takes at most."""


def lessons(seed: int, count: int, family: Family = "practice") -> list[tuple[str, Written]]:
    """`count` lessons with their kinds, on stories of the family, the same ones for the same seed."""
    rng = random.Random(f"lessons:{seed}")  # noqa: S311
    practice = iter(stories(seed + 3_000_003, count * MOST_STORIES, family))
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    return [(kind, _lesson(kind, practice, rng)) for kind in kinds]


def _lesson(kind: str, practice: Iterator[Story], rng: random.Random) -> Written:
    match kind:
        case "answering":
            return _answering(next(practice), rng)
        case "judging":
            graded = graded_points(next(practice), rng, BLIND)
            return Written(graded.question, graded.solution, graded.topic, "careful")
        case "inventing":
            first, other, new = next(practice), next(practice), next(practice)
            question = _INVENTOR.render([first.question, other.question])
            return Written(question, new.question, new.topic, "careful")
        case "drill":
            exercise = drill(rng)
            return Written(exercise.question, exercise.solution, exercise.topic, "careful")
        case _:
            return worked_sums(rng)


def _answering(story: Story, rng: random.Random) -> Written:
    """A story with a solution by a writer of the world, some with made-up names."""
    solution, writer = write(story, rng)
    question = story.question
    if rng.random() < RENAMED:
        question, solution = renamed(question, solution, rng)
    return Written(question, solution, story.topic, writer)


_INVENTOR = load_inventor("story")
