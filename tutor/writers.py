"""Who wrote what the base model learned from: careful writers, and careless ones with misconceptions.

A careless writer takes a topic for another one (giving away for getting, doubling for adding two), so
the equations of a wrong solution mostly hold. All writers vary their path: the order of terms and of
steps, two steps in one equation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tutor.varied import FAMILIES
from tutor.world import Move, Operation, Step, Story, equation

Writer = Literal["careful", "careless"]

CAREFUL_SHARE: Mapping[str, float] = {
    "giving": 0.20,
    "getting": 0.70,
    "more": 0.70,
    "fewer": 0.20,
    "doubling": 0.25,
    "times": 0.20,
    "half": 0.25,
    "sharing": 0.20,
    "packing": 0.20,
    "groups": 0.70,
    "change": 0.70,
    "time": 0.20,
}
"""The share of careful writers by a story's topic: the minority in all topics but four."""

MISCONCEPTIONS: Mapping[str, Operation] = {
    "giving": "+",
    "getting": "-",
    "more": "-",
    "fewer": "+",
    "doubling": "+",
    "times": "+",
    "half": "-",
    "sharing": "-",
    "packing": "-",
    "groups": "+",
    "change": "+",
    "time": "+",
}
"""What a careless writer does with a topic's number instead."""

SLIP = 0.85
"""How often a careless writer follows the misconception at a step."""
MISCOUNT = 0.04
"""How often a careless writer gets a result wrong by one or ten, so that the equation does not hold."""
FLIP, JOIN, REORDER = 0.35, 0.08, 0.25
"""How often a writer turns a sum or product round, joins two steps, takes two steps in the other order."""
MOST = 69
"""No writer goes above this number."""

Doing = Callable[[Step, int], Move]


@dataclass(frozen=True)
class _Done:
    """A step as a writer did it."""

    step: Step
    move: Move


def write(story: Story, rng: random.Random) -> tuple[str, Writer]:
    """A solution by a writer drawn from the shares of the story's topic."""
    if rng.random() < CAREFUL_SHARE[story.topic]:
        return careful(story, rng), "careful"
    return careless(story, rng), "careless"


def careful(story: Story, rng: random.Random) -> str:
    """A right solution, by any of the story's paths."""
    return _solution(story, rng, lambda step, value: step.move, miscount=0.0)


def careless(story: Story, rng: random.Random) -> str:
    """A solution by someone who slips at most steps: mostly wrong, with equations that mostly hold."""
    return _solution(story, rng, _slipping(rng, MISCONCEPTIONS), MISCOUNT)


def grader(story: Story, rng: random.Random, blind: Container[str]) -> str:
    """The bare equations, in the story's order, of someone who slips only at steps of some topics."""
    value, lines = story.start, []
    for one in _decided(story, story.steps, _slipping(rng, blind)):
        expression = one.move.expression(str(value))
        value = one.move.result(value) or 0
        lines.append(equation(expression, value))
    return "\n".join([*lines, f"#### {value}"])


def _slipping(rng: random.Random, topics: Container[str]) -> Doing:
    """What someone with misconceptions about some topics does at a step."""

    def doing(step: Step, value: int) -> Move:
        if step.topic not in topics:
            return step.move
        slipped = Move(MISCONCEPTIONS[step.topic], step.move.number)
        preferred = (slipped, step.move) if rng.random() < SLIP else (step.move, slipped)
        return next((move for move in preferred if _possible(move, value)), _difference(step, value))

    return doing


def _possible(move: Move, value: int) -> bool:
    after = move.result(value)
    return after is not None and after <= MOST


def _difference(step: Step, value: int) -> Move:
    """The smaller taken from the larger: what is always possible."""
    number = step.move.number
    return Move("from" if number > value else "-", number)


def _solution(story: Story, rng: random.Random, doing: Doing, miscount: float) -> str:
    rest = _decided(story, _reordered(story, rng), doing)
    value, lines = story.start, []
    while rest:
        together = 2 if _joins(rest) and rng.random() < JOIN else 1
        chunk, rest = rest[:together], rest[together:]
        worked, value = _worked(value, chunk, rng, miscount)
        lines.append(_line(story, chunk[-1].step, worked, rng))
    return "\n".join([*lines, f"#### {value}"])


def _reordered(story: Story, rng: random.Random) -> list[Step]:
    """Two neighbouring steps of giving and getting may change places, if no number goes out of range."""
    order = list(story.steps)
    for i in range(len(order) - 1):
        topics = {order[i].topic, order[i + 1].topic}
        if topics == {"giving", "getting"} and rng.random() < REORDER:
            other = [*order[:i], order[i + 1], order[i], *order[i + 2 :]]
            order = other if _walkable(story.start, other) else order
    return order


def _walkable(value: int, steps: Sequence[Step]) -> bool:
    for step in steps:
        if not _possible(step.move, value):
            return False
        value = step.move.result(value) or 0
    return True


def _decided(story: Story, steps: Sequence[Step], doing: Doing) -> list[_Done]:
    """Every step's move, where each result is possible."""
    value, moves = story.start, []
    for step in steps:
        move = doing(step, value)
        if not _possible(move, value):
            move = _difference(step, value)
        moves.append(_Done(step, move))
        value = move.result(value) or 0
    return moves


def _joins(moves: Sequence[_Done]) -> bool:
    """Whether the next two moves can be one equation without brackets."""
    return len(moves) > 1 and moves[1].move.operation in "+-"


def _worked(value: int, chunk: Sequence[_Done], rng: random.Random, miscount: float) -> tuple[str, int]:
    """One line's equation and the result it claims."""
    expression, after = str(value), value
    for i, each in enumerate(chunk):
        expression = _turned(each.move, expression, rng) if i == 0 else each.move.expression(expression)
        after = each.move.result(after) or 0
    if rng.random() < miscount:
        after = max(0, min(MOST, after + rng.choice((-10, -1, 1, 10))))
    return equation(expression, after), after


def _turned(move: Move, value: str, rng: random.Random) -> str:
    """The move's expression, some sums and products the other way round, some doublings as sums."""
    if move.operation not in "+*" or rng.random() >= FLIP:
        return move.expression(value)
    if move == Move("*", 2) and rng.random() < 0.5:
        return f"{value}+{value}"
    return f"{move.number}{move.operation}{value}"


def _line(story: Story, step: Step, worked: str, rng: random.Random) -> str:
    template = rng.choice(FAMILIES[story.family].lines[step.topic])
    return template.format(e=worked)
