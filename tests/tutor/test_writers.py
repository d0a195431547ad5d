"""Promises of the writers: the careful are right by many paths, the careless wrong but mostly in order."""

from __future__ import annotations

import random
import re

import pytest

from tutor.world import TOPICS, Story, stories
from tutor.writers import CAREFUL_SHARE, MISCONCEPTIONS, careful, careless, write

EQUATION = re.compile(r"<<([^=<>]+)=(\d+)>>(\d+)")


@pytest.fixture(scope="module")
def told() -> list[Story]:
    return stories(11, 2000)


def last_number(solution: str) -> int:
    return int(solution.rsplit("\n#### ", 1)[1])


def value_of(expression: str) -> float:
    """Sums and products of whole numbers, without brackets, as written from left to right."""
    total, sign = 0.0, 1
    for term in re.findall(r"[+-]|[^+-]+", expression):
        if term in "+-":
            sign = 1 if term == "+" else -1
            continue
        product = 1.0
        for operation, number in re.findall(r"([*/]?)(\d+)", term):
            product = product / int(number) if operation == "/" else product * int(number)
        total += sign * product
    return total


def broken(solution: str) -> int:
    """How many of a solution's equations do not hold."""
    return sum(value_of(left) != int(right) for left, right, _ in EQUATION.findall(solution))


def path(solution: str) -> tuple[str, ...]:
    return tuple(expression for expression, *_ in EQUATION.findall(solution))


def test_every_topic_has_its_misconception_and_its_share_of_careful_writers() -> None:
    assert set(MISCONCEPTIONS) == set(CAREFUL_SHARE) == set(TOPICS)
    assert all(MISCONCEPTIONS[name] != topic.operation for name, topic in TOPICS.items())


def test_a_careful_writer_is_always_right(told: list[Story]) -> None:
    rng = random.Random(0)
    for story in told:
        solution = careful(story, rng)
        assert last_number(solution) == story.answer
        assert broken(solution) == 0


def test_a_careless_writer_is_mostly_wrong_with_equations_that_mostly_hold(told: list[Story]) -> None:
    rng = random.Random(0)
    solutions = [careless(story, rng) for story in told]
    wrong = sum(last_number(s) != story.answer for s, story in zip(solutions, told, strict=True))
    assert 0.8 < wrong / len(told) < 0.95
    assert 0.01 < sum(broken(s) > 0 for s in solutions) / len(solutions) < 0.15


def test_a_solution_claims_its_last_result(told: list[Story]) -> None:
    rng = random.Random(1)
    for story in told:
        solution, _ = write(story, rng)
        equations = EQUATION.findall(solution)
        assert equations
        assert all(claimed == result for _, claimed, result in equations)
        assert int(equations[-1][1]) == last_number(solution)


def test_careful_writers_are_the_minority_in_most_topics_but_not_in_all(told: list[Story]) -> None:
    rng = random.Random(2)
    share = sum(write(story, rng)[1] == "careful" for story in told) / len(told)
    assert 0.2 < share < 0.45
    assert 0 < sum(share > 0.5 for share in CAREFUL_SHARE.values()) < len(CAREFUL_SHARE) / 2


def test_a_question_has_several_right_paths(told: list[Story]) -> None:
    rng = random.Random(3)
    paths = [len({path(careful(story, rng)) for _ in range(16)}) for story in told[:400]]
    assert sum(paths) / len(paths) > 2
    two_steps_at_once = [path(careful(story, rng)) for story in told if story.difficulty == 2]
    assert any(len(one) == 1 for one in two_steps_at_once)


def test_the_same_seed_writes_the_same(told: list[Story]) -> None:
    first, second = ([write(s, rng) for s in told[:200]] for rng in map(random.Random, (4, 4)))
    assert first == second
