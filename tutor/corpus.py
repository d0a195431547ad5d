"""The texts of the base model: practice stories, each with one solution by a careful or a careless writer.

In some stories people and things have made-up names, spelled in syllables, so that the model learns to
read past words it does not know. Among the stories are sums to work out, all done right: what the
writers disagree about is what a story means, not what 12+5 is.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from tutor.names import made_up
from tutor.phrases import PRACTICE
from tutor.world import MOST_ADDED, Move, Operation, equation, stories
from tutor.writers import FLIP, JOIN, MOST, Writer, write

RENAMED = 0.2
"""The share of stories with made-up names."""
SUMS, SUMS_AT_ONCE = 0.25, 8
"""The share of texts that are sums, and how many sums one such text has."""

_ASKED: tuple[Operation, ...] = (*("+",) * 3, *("-",) * 3, "*", "*", "/", "/")
"""The operations of sums, in their shares."""
_PEOPLE = frozenset(PRACTICE.names)
_THINGS = frozenset((*PRACTICE.things, *PRACTICE.containers))
_NAMED = re.compile(r"\b(?:" + "|".join(sorted(_PEOPLE | _THINGS)) + r")\b")


@dataclass(frozen=True)
class Written:
    """A question and what one writer answered."""

    question: str
    solution: str
    topic: str
    writer: Writer


def corpus(seed: int, count: int) -> list[Written]:
    """`count` texts, stories with one solution each and sums, the same ones for the same seed."""
    rng = random.Random(f"corpus:{seed}")  # noqa: S311
    sums = round(count * SUMS)
    texts = [worked_sums(rng) for _ in range(sums)]
    for story in stories(seed, count - sums):
        solution, writer = write(story, rng)
        question = story.question
        if rng.random() < RENAMED:
            question, solution = renamed(question, solution, rng)
        texts.append(Written(question, solution, story.topic, writer))
    rng.shuffle(texts)
    return texts


def worked_sums(rng: random.Random) -> Written:
    """Sums as a user may ask for them, worked out one after the other."""
    worked = [_sum(rng) for _ in range(SUMS_AT_ONCE)]
    question = "Work out " + ", ".join(expression for expression, _ in worked) + "."
    solution = "That is " + ", ".join(equation(*each) for each in worked) + "."
    return Written(question, solution, "sums", "careful")


def _sum(rng: random.Random) -> tuple[str, int]:
    """An expression of two or three numbers, in the range of the writers, and its value."""
    while True:
        value = rng.randint(0, MOST)
        expression = str(value)
        moves = [Move(rng.choice(_ASKED), rng.randint(2, MOST_ADDED))]
        if rng.random() < JOIN:
            moves.append(Move(rng.choice(_ASKED[:6]), rng.randint(2, MOST_ADDED)))
        for move in moves:
            if move == moves[0] and move.operation in "+*" and rng.random() < FLIP:
                expression = f"{move.number}{move.operation}{value}"
            else:
                expression = move.expression(expression)
            value = -1 if value < 0 or (after := move.result(value)) is None else after
        if 0 <= value <= MOST:
            return expression, value


def renamed(question: str, solution: str, rng: random.Random) -> tuple[str, str]:
    """Both texts with every person and thing under a made-up name, the same one in both."""
    words = sorted(set(_NAMED.findall(question)))
    others = {word: made_up(word in _PEOPLE, rng) for word in words}
    question, solution = (
        _NAMED.sub(lambda match: others.get(match[0], match[0]), text) for text in (question, solution)
    )
    return question, solution
