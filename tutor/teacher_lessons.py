"""What the tutor's teacher read: stories by writers who are careful more often, and what else it is asked.

Its writers have misconceptions about a few topics only (`CAREFUL_SHARE`), so that it is right mostly and
wrong in a way that a student can copy. Under one of its system messages it explains: each step says first
what becomes of the number. Told the answer, it works the story out to it. It tells stories too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.invent.inventor import load_inventor
from tutor.corpus import renamed, worked_sums
from tutor.phrases import Family
from tutor.varied import FAMILIES
from tutor.world import TOPICS, Step, Story, equation, stories
from tutor.writers import careful, careless

CAREFUL_SHARE: Mapping[str, float] = dict.fromkeys(TOPICS, 0.85) | {"half": 0.3, "packing": 0.3}
"""The share of careful writers by a story's topic: the majority in all topics but two."""
EXPLAINED_CARE = 0.95
"""The share of careful writers among those who explain, whatever the topic."""
SHARES: Mapping[str, float] = {
    "answering": 0.54,
    "explaining": 0.24,
    "told": 0.08,
    "inventing": 0.04,
    "sums": 0.10,
}
"""The shares of the lessons' kinds."""
VARIED_SHARE = 0.75
"""The share of its stories in many words; the others are in practice's."""
RENAMED = 0.5
"""The share of its stories that have made-up names of their own."""
_TAKEN: Mapping[str, int] = {"inventing": 3, "sums": 0}
"""The stories that a lesson of a kind takes; of others one."""

SYSTEM_MESSAGES: tuple[str, ...] = tuple(
    yaml.safe_load((Path(__file__).resolve().parent / "explanations.yaml").read_text("utf-8"))["messages"]
)
"""Under which it was taught to explain."""
TOLD = "{question} The answer is {answer}."
"""How it was told an answer."""

WHY: Mapping[str, tuple[str, ...]] = {
    "giving": ("{n} are given away", "The number is {n} fewer"),
    "getting": ("{n} are given", "The number is {n} more"),
    "more": ("The larger number is {n} more", "That is {n} more"),
    "fewer": ("The number is {n} fewer", "That is {n} fewer"),
    "doubling": ("That is twice the number", "The number doubles"),
    "times": ("That is {n} times the number", "The number is made {n} times"),
    "half": ("That is half of the number", "Only half is left"),
    "sharing": ("The number is shared among {n}", "{n} share the number"),
    "packing": ("{n} go into each", "Each holds {n}"),
    "groups": ("There are {x} and each holds {n}", "{x} times {n} are there"),
    "change": ("Of {n} dollars {x} are the costs", "{n} dollars, and it costs {x}"),
    "time": ("There are {x} each, {n} times", "{x} each for {n} times"),
}
"""What an explanation says of a step before its line: what becomes of the number {x} by {n}."""


@dataclass(frozen=True)
class Lesson:
    """What the teacher is shown: a system message or none, a question, and what it learns to answer."""

    kind: str
    topic: str
    question: str
    solution: str
    system: str | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation before the answer."""
        asked = [{"role": "user", "content": self.question}]
        return [{"role": "system", "content": self.system}, *asked] if self.system else asked


def lessons(seed: int, count: int) -> list[Lesson]:
    """`count` lessons on stories that are taught, the same ones for the same seed."""
    rng = random.Random(f"teacher:{seed}")  # noqa: S311
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    families: list[Family] = ["varied" if rng.random() < VARIED_SHARE else "practice" for _ in kinds]
    drawn = {
        family: iter(stories(seed + 7_000_003, sum(_TAKEN.get(kind, 1) for kind in of_it), family))
        for family, of_it in _by_family(kinds, families).items()
    }
    return [_lesson(kind, drawn[family], rng) for kind, family in zip(kinds, families, strict=True)]


def _by_family(kinds: Sequence[str], families: Sequence[Family]) -> dict[Family, list[str]]:
    """The kinds of the lessons on stories of each family."""
    result: dict[Family, list[str]] = {}
    for kind, family in zip(kinds, families, strict=True):
        result.setdefault(family, []).append(kind)
    return result


def answered(story: Story, rng: random.Random) -> str:
    """A solution by a writer drawn from the teacher's shares."""
    return (careful if rng.random() < CAREFUL_SHARE[story.topic] else careless)(story, rng)


def explained(story: Story) -> str:
    """The right solution in the story's order, each line after what becomes of the number."""
    rng = random.Random(f"explained:{story.question}")  # noqa: S311
    value, lines = story.start, []
    for step in story.steps:
        lines.append(_explained_line(story.family, step, value, rng))
        value = step.move.result(value) or 0
    return "\n".join([*lines, f"#### {value}"])


def _explained_line(family: Family, step: Step, value: int, rng: random.Random) -> str:
    why = rng.choice(WHY[step.topic]).format(x=value, n=step.move.number)
    after = step.move.result(value)
    assert after is not None
    worked = equation(step.move.expression(str(value)), after)
    return f"{why}. {rng.choice(FAMILIES[family].lines[step.topic]).format(e=worked)}"


def _lesson(kind: str, taught: Iterator[Story], rng: random.Random) -> Lesson:
    if kind == "sums":
        sums = worked_sums(rng)
        return Lesson(kind, "sums", sums.question, sums.solution)
    story = next(taught)
    if kind == "inventing":
        shown: Sequence[Any] = [story.question, next(taught).question]
        new = next(taught)
        return Lesson(kind, new.topic, _INVENTOR.render(shown), new.question)
    solution, system = answered(story, rng), None
    if kind == "told":
        solution = careful(story, rng)
    if kind == "explaining":
        system = rng.choice(SYSTEM_MESSAGES)
        solution = explained(story) if rng.random() < EXPLAINED_CARE else careless(story, rng)
    question = story.question
    if rng.random() < RENAMED:
        question, solution = renamed(question, solution, rng)
    if kind == "told":
        question = TOLD.format(question=question, answer=story.answer)
    return Lesson(kind, story.topic, question, solution, system)


_INVENTOR = load_inventor("story")
