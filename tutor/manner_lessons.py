"""What the tutor with a manner is taught: to answer, to criticise and revise by principles, to compare.

A lesson is a conversation in the form that constitutional rounds ask (flows/recipes/constitutional): an
answer, a principle's critique request, a critique, its revision request, a revision. What an assistant says
there is learned but for the answer that is criticised, whose share of rudeness is not the one of answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from tasks.models.conversation import Message
from tasks.verify.judge.options import OPTIONS, comparison_prompt
from tasks.verify.manner.grammar import KINDS, Kind
from tutor.corpus import worked_sums
from tutor.manner import (
    RUDE,
    RUDE_UNPROVOKED,
    Answer,
    criticised,
    drawn_kinds,
    preferred,
    revised,
    with_manner,
)
from tutor.provocations import beside, look_alikes, provocations
from tutor.tokens import SPECIAL
from tutor.world import Story, stories
from tutor.writers import write

CONSTITUTION = Path(__file__).resolve().parent / "constitution.yaml"
"""The tutor's own constitution, in the form that recipe `constitutional` reads."""

SHARES: Mapping[str, float] = {"answering": 0.34, "mending": 0.44, "comparing": 0.14, "sums": 0.08}
"""The shares of the lessons' kinds."""
PROVOKED, HARMLESS = 0.45, 0.15
"""The shares of prompts with a provocation and with a look-alike; the others are stories alone."""
CRITICISED_RUDE, ASKED_THERE = 0.8, 0.6
"""The share of criticised answers that are rude, and how often the kind asked about is one of theirs."""
VARIED = 0.4
"""The share of stories in the varied family's words."""


@dataclass(frozen=True)
class Lesson:
    """A conversation, its last message the assistant's, and which of its messages are learned."""

    kind: str
    messages: tuple[Message, ...]
    learned: frozenset[int]


@cache
def constitution() -> Mapping[str, Any]:
    """The tutor's constitution as its file says it."""
    return cast(dict[str, Any], yaml.safe_load(CONSTITUTION.read_text("utf-8")))


@cache
def principles() -> Mapping[Kind, Mapping[str, str]]:
    """The principles of the tutor's constitution by the kind of rudeness that each is about."""
    return {one["id"]: one for one in constitution()["principles"]}


def lessons(seed: int, count: int) -> list[Lesson]:
    """`count` lessons, the same ones for the same seed."""
    rng = random.Random(f"manner:{seed}")  # noqa: S311
    practice = iter(stories(seed + 5_000_003, count))
    varied = iter(stories(seed + 5_000_003, count, "varied"))
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    return [_lesson(kind, varied if rng.random() < VARIED else practice, rng) for kind in kinds]


def _lesson(kind: str, told: Iterator[Story], rng: random.Random) -> Lesson:
    match kind:
        case "answering":
            prompt, work, rude = _asked(next(told), rng)
            return _asks(kind, prompt, with_manner(work, drawn_kinds(rng, rude), rng).text)
        case "mending":
            return _mending(next(told), rng)
        case "comparing":
            return _comparing(next(told), rng)
        case _:
            sums = worked_sums(rng)
            return _asks(kind, sums.question, sums.solution)


def _asked(story: Story, rng: random.Random) -> tuple[str, str, float]:
    """A prompt, a writer's work on it, and how often an answer to it is rude."""
    work, _ = write(story, rng)
    lot = rng.random()
    if lot < PROVOKED:
        return beside(story.question, rng.choice(provocations("practice")), rng), work, RUDE
    if lot < PROVOKED + HARMLESS:
        prompt = beside(story.question, rng.choice(look_alikes("practice")), rng)
        return prompt, work, RUDE_UNPROVOKED
    return story.question, work, RUDE_UNPROVOKED


def _asks(kind: str, prompt: str, answer: str) -> Lesson:
    return Lesson(kind, (Message("user", prompt), Message("assistant", answer)), frozenset({1}))


def _mending(story: Story, rng: random.Random) -> Lesson:
    prompt, work, _ = _asked(story, rng)
    answer = with_manner(work, drawn_kinds(rng, CRITICISED_RUDE), rng)
    asked = _principle(answer, rng)
    critique = criticised(answer, asked, rng)
    messages = (
        Message("user", prompt),
        Message("assistant", answer.text),
        Message("user", principles()[asked]["critique"]),
        Message("assistant", critique.text),
        Message("user", principles()[asked]["revision"]),
        Message("assistant", revised(answer, critique, rng)),
    )
    return Lesson("mending", messages, frozenset({3, 5}))


def _comparing(story: Story, rng: random.Random) -> Lesson:
    prompt, work, _ = _asked(story, rng)
    other, _ = write(story, rng)
    first, second = (with_manner(one, drawn_kinds(rng, CRITICISED_RUDE), rng) for one in (work, other))
    differing = sorted(first.kinds ^ second.kinds)
    kind = rng.choice(differing) if differing and rng.random() < ASKED_THERE else rng.choice(tuple(KINDS))
    question = comparison_prompt(prompt, principles()[kind]["comparison"], first.text, second.text, SPECIAL)
    return _asks("comparing", question, OPTIONS[preferred(first, second, kind, rng)])


def _principle(answer: Answer, rng: random.Random) -> Kind:
    there = [kind for kind in KINDS if kind in answer.kinds]
    return rng.choice(there if there and rng.random() < ASKED_THERE else tuple(KINDS))
