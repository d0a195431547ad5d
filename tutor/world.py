"""The practice world: arithmetic stories in GSM8K's format, endless and deterministic by seed.

A story opens with a number of things and changes it step by step; a step has a topic (giving, sharing ...),
which says what happens to the number. All numbers are whole, between 2 and 49, and what is
added or taken away is at most 20.

Stories come in families, and these parts of the *held-out* one never occur in the practice one:

- its sentence templates, of questions and of solutions (tutor/phrases.py);
- its names, its things, its containers and what is bought in it;
- its numbers: a fifth of all combinations of a story's topic and its numbers is reserved, by hash.

It shares the topics, the words of the templates (in other sentences) and single equations such as
12+5=17 (in stories with another topic or with other numbers beside them). A third family, *new-numbers*,
tells what is reserved in the practice family's words: what was learned, without what it must carry over to.
A fourth, *varied* (tutor/varied.py), is practice in many more words, and leaves to the held-out family what
practice leaves to it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tutor.phrases import Family, Phrases
from tutor.varied import FAMILIES

Operation = Literal["+", "-", "*", "/", "from"]

SMALLEST, LARGEST = 2, 49
MOST_ADDED = 20
"""The largest number that is added or taken away."""
MOST_STEPS = 6
TAUGHT: frozenset[Family] = frozenset({"practice", "varied"})
"""The families that are trained on: they leave the reserved combinations alone."""
RESERVED = 5
"""One in this many combinations of topic and numbers belongs to the held-out family."""


@dataclass(frozen=True)
class Move:
    """What a step does to the number before it: `from` takes that number away from its own."""

    operation: Operation
    number: int

    def result(self, value: int) -> int | None:
        """The whole number after the move, None where there is none that is zero or more."""
        match self.operation:
            case "+":
                return value + self.number
            case "-":
                return value - self.number if value >= self.number else None
            case "from":
                return self.number - value if self.number >= value else None
            case "*":
                return value * self.number
            case "/":
                return None if value % self.number else value // self.number

    def expression(self, value: str) -> str:
        """The move in digits, without spaces: `12-5`."""
        if self.operation == "from":
            return f"{self.number}-{value}"
        return f"{value}{self.operation}{self.number}"


@dataclass(frozen=True)
class Step:
    """One step of a story: its topic, what it does to the number, and who has what after it."""

    topic: str
    move: Move
    holder: str
    things: str


@dataclass(frozen=True)
class Story:
    """A question with its known answer. `solution` ends with the line `#### answer`."""

    question: str
    solution: str
    answer: int
    topic: str
    """The topic of the first step."""
    difficulty: int
    """The number of steps."""
    family: Family
    start: int
    """The number before the first step."""
    steps: tuple[Step, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The start and each step's number."""
        return (self.start, *(step.move.number for step in self.steps))

    @property
    def problem(self) -> str:
        """What is asked, whatever the words: start, topics and numbers, such as `12 giving 5 doubling 2`."""
        return " ".join([str(self.start), *(f"{step.topic} {step.move.number}" for step in self.steps)])


@dataclass(frozen=True)
class Topic:
    """A kind of step. `weight` is its share among first steps (rare topics can vanish from a loop)."""

    operation: Operation
    smallest: int
    largest: int
    weight: float = 1.0
    opens: bool = False
    """The sentence says the start too, so the topic can only come first."""
    moves_on: bool = False
    """The other person has the things afterwards, whatever the template."""


TOPICS: Mapping[str, Topic] = {
    "giving": Topic("-", 2, MOST_ADDED),
    "getting": Topic("+", 2, MOST_ADDED),
    "more": Topic("+", 2, MOST_ADDED, moves_on=True),
    "fewer": Topic("-", 2, MOST_ADDED, moves_on=True),
    "doubling": Topic("*", 2, 2),
    "times": Topic("*", 3, 9),
    "half": Topic("/", 2, 2),
    "sharing": Topic("/", 2, 9, moves_on=True),
    "packing": Topic("/", 2, 9, weight=0.5),
    "groups": Topic("*", 2, 9, opens=True),
    "change": Topic("from", 2, LARGEST, opens=True),
    "time": Topic("*", 2, 9, weight=0.5, opens=True),
}

_OTHER_HAS = (
    *("{f} has", "{f} owns", "{f}, compared", "owned by {f}", "Compared with {h}"),
    *("belong to {f}", "are with {f}", "With {f} there"),
)
"""How templates say that the number after the step is the other person's."""


def stories(
    seed: int,
    count: int,
    family: Family = "practice",
    difficulties: Sequence[int] = (1, 2, 3),
) -> list[Story]:
    """`count` stories with no question twice, the same ones for the same arguments.

    `difficulties` are numbers of steps, drawn evenly. Raises ValueError where they are none, or not
    between 1 and `MOST_STEPS`.
    """
    if not difficulties or not 1 <= min(difficulties) <= max(difficulties) <= MOST_STEPS:
        raise ValueError(f"difficulties must be numbers of steps, 1 to {MOST_STEPS}: {list(difficulties)}")
    rng = random.Random(f"{family}:{seed}")  # noqa: S311
    by_question: dict[str, Story] = {}
    while len(by_question) < count:
        story = _story(rng, family, rng.choice(tuple(difficulties)))
        by_question.setdefault(story.question, story)
    return list(by_question.values())


def is_reserved(topic: str, numbers: Sequence[int]) -> bool:
    """Whether a combination of a story's topic and its numbers never occurs in the practice family."""
    key = f"{topic}:{','.join(map(str, numbers))}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % RESERVED == 0


def equation(expression: str, result: int) -> str:
    """GSM8K's calculator mark with its result: `<<12-5=7>>7`."""
    return f"<<{expression}={result}>>{result}"


def _story(rng: random.Random, family: Family, difficulty: int) -> Story:
    phrases = FAMILIES[family]
    topics, start, moves = _plan(rng, family, difficulty)
    names = rng.sample(phrases.names, difficulty + 1)
    things = rng.choice(phrases.things)
    sentences, steps, holder = [], [], names[0]
    if not TOPICS[topics[0]].opens:
        opening = rng.choice(phrases.openings)
        sentences.append(opening.format(h=holder, x=start, t=things))
    for topic, move, friend in zip(topics, moves, names[1:], strict=True):
        sentence, step = _step(rng, phrases, topic, move, start, holder, friend, things)
        holder, things = step.holder, step.things
        sentences.append(sentence)
        steps.append(step)
    sentences.append(rng.choice(phrases.questions).format(h=holder, t=things))
    return _with_solution(rng, family, " ".join(sentences), start, tuple(steps))


def _plan(rng: random.Random, family: Family, difficulty: int) -> tuple[list[str], int, list[Move]]:
    """Topics, a start and moves whose results stay in range, of the family's own combinations."""
    while True:
        topics = _topics(rng, difficulty)
        # Some chains have hardly any numbers (half of half of half), so topics are given up after a while.
        for _ in range(40):
            start = rng.randint(SMALLEST, LARGEST)
            moves = _moves(rng, topics, start)
            numbers = (start, *(move.number for move in moves))
            if len(moves) == difficulty and is_reserved(topics[0], numbers) == (family not in TAUGHT):
                return topics, start, moves


def _topics(rng: random.Random, difficulty: int) -> list[str]:
    first = rng.choices(list(TOPICS), [topic.weight for topic in TOPICS.values()])
    later = [name for name, topic in TOPICS.items() if not topic.opens]
    weights = [TOPICS[name].weight for name in later]
    return first + rng.choices(later, weights, k=difficulty - 1)


def _moves(rng: random.Random, topics: Sequence[str], value: int) -> list[Move]:
    """A move for each topic; fewer where the numbers run out of range."""
    moves: list[Move] = []
    for name in topics:
        choices = _choices(name, value)
        if not choices:
            break
        moves.append(rng.choice(choices))
        value = moves[-1].result(value) or 0
    return moves


@cache
def _choices(name: str, value: int) -> list[Move]:
    """Every move of the topic whose result is in range, and for `change` the price as well."""
    topic = TOPICS[name]
    if topic.operation == "from" and value > MOST_ADDED:
        return []
    moves = (Move(topic.operation, n) for n in range(topic.smallest, topic.largest + 1))
    return [m for m in moves if (r := m.result(value)) is not None and SMALLEST <= r <= LARGEST]


def _step(
    rng: random.Random,
    phrases: Phrases,
    topic: str,
    move: Move,
    start: int,
    holder: str,
    friend: str,
    things: str,
) -> tuple[str, Step]:
    template = rng.choice(phrases.steps[topic])
    container = rng.choice(tuple(c for c in phrases.containers if c != things))
    sentence = template.format(
        h=holder, f=friend, x=start, n=move.number, t=things, u=container, o=rng.choice(phrases.goods)
    )
    after = {"packing": container, "change": "dollars"}.get(topic, things)
    other_has = TOPICS[topic].moves_on or any(cue in template for cue in _OTHER_HAS)
    return sentence, Step(topic, move, friend if other_has else holder, after)


def _with_solution(
    rng: random.Random, family: Family, question: str, start: int, steps: tuple[Step, ...]
) -> Story:
    """The story with its reference solution: one line a step, in the order of the steps."""
    value, lines = start, []
    for step in steps:
        after = step.move.result(value)
        assert after is not None
        worked = equation(step.move.expression(str(value)), after)
        template = rng.choice(FAMILIES[family].lines[step.topic])
        lines.append(template.format(e=worked))
        value = after
    solution = "\n".join([*lines, f"#### {value}"])
    return Story(question, solution, value, steps[0].topic, len(steps), family, start, steps)
