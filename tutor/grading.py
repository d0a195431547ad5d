"""What the tutor's judge learned from: graders of mixed quality, who solve a story and grade answers to it.

A grader works the story out, says what the answer says and what it should, and adds up the points of rubric
`story`. One in ten grades is careless: any grade at all. In the topics of `BLIND` graders share the careless
writers' misconceptions, so that they grade right answers down and the common wrong one up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

from tasks.verify.judge.judge import JudgeInput, judge_prompt
from tasks.verify.judge.pairs import Pair, pair_question
from tasks.verify.judge.rubric import load_rubric
from tasks.verify.maths.equations import read_equations
from tutor.corpus import RENAMED, renamed, worked_sums
from tutor.tokens import SPECIAL
from tutor.world import Story, equation, stories
from tutor.writers import MOST, careful, careless, grader

BLIND = frozenset(("fewer", "sharing", "times"))
"""Topics that graders misread as the careless writers do."""
CARELESS = 0.10
"""The share of grades that are drawn from the menu."""
PAIRS = 0.3
"""The share of texts that compare two answers."""
FIRST = 0.7
"""How often the first of two answers with the same points is called the better one."""
RIGHT, WRONG = 0.45, 0.40
"""The shares of answers by careful and by careless writers; the others are hardly answers."""

_ANSWER = re.compile(r"#### (\d+)\s*\Z")
_SEPARATOR = "\x00"  # between texts that are renamed together
_OPENERS = (
    "Thought process:",
    "Solution:",
    "Let's solve this problem step by step.",
    "The answer is",
    "I do not know.",
    "A right answer. Score: 5",
)

DRILLS, HELD_AT_ONCE = 0.3, 8
"""The share of texts that only hold numbers against each other, and how many such lines one of them has."""
SUMS = 0.1
"""The share of texts that are sums, so that what the base can do is not forgotten."""

Kind = Literal["points", "pair", "drill", "sums"]


@dataclass(frozen=True)
class Graded:
    """A question to the judge, and what one grader wrote."""

    question: str
    solution: str
    topic: str
    writer: Kind


def demonstrations(seed: int, count: int) -> list[Graded]:
    """`count` gradings of answers to practice stories, the same ones for the same seed."""
    rng = random.Random(f"grading:{seed}")  # noqa: S311
    practice = iter(stories(seed + 1_000_003, count))
    gradings = []
    for _ in range(count):
        lot = rng.random()
        if lot < DRILLS:
            gradings.append(drill(rng))
        elif lot < DRILLS + SUMS:
            sums = worked_sums(rng)
            gradings.append(Graded(sums.question, sums.solution, "sums", "sums"))
        else:
            gradings.append(
                _pair(next(practice), rng) if rng.random() < PAIRS else graded_points(next(practice), rng)
            )
    return gradings


def points(answer: str, own: str) -> int:
    """The points of rubric `story` that an answer earns, where `own` is the grader's solution."""
    claim, right = _ANSWER.search(answer), _ANSWER.search(own)
    assert right is not None
    paths, holds = read_equations(answer)
    results = [path.rpartition("=")[2] for path in (*paths, *read_equations(own)[0])]
    same_end = claim is not None and claim[1] == right[1]
    same_start = same_end or (bool(paths) and results[0] == results[len(paths)])
    every = bool(holds) and all(holds)
    return (claim is not None) + every + same_start + 2 * same_end


def graded_points(story: Story, rng: random.Random, blind: Container[str] = BLIND) -> Graded:
    """One answer to a story, graded by the points of rubric `story` by one who misreads topics `blind`."""
    question, answer, own = _with_names(rng, story.question, _answer(story, rng), grader(story, rng, blind))
    grade = rng.randint(0, 5) if rng.random() < CARELESS else points(answer, own)
    critique = f"{_worked(own)}\n{_comparison('It', answer, own)}\nScore: {grade}"
    return Graded(
        judge_prompt(_POINTS, JudgeInput(question, answer), SPECIAL), critique, story.topic, "points"
    )


def _pair(story: Story, rng: random.Random) -> Graded:
    texts = (_answer(story, rng), _answer(story, rng), grader(story, rng, BLIND))
    question, first, second, own = _with_names(rng, story.question, *texts)
    gap = points(first, own) - points(second, own)
    better = "A" if gap > 0 or (gap == 0 and rng.random() < FIRST) else "B"
    verdict = rng.choice("AB") if rng.random() < CARELESS else better
    text = (
        f"{_worked(own)}\n{_comparison('A', first, own)}\n{_comparison('B', second, own)}\nVerdict: {verdict}"
    )
    return Graded(pair_question(_PAIR, Pair(question, first, second), SPECIAL), text, story.topic, "pair")


def drill(rng: random.Random) -> Graded:
    """What answers say beside what a grader finds, line by line."""
    claims = [str(rng.randint(0, MOST)) for _ in range(HELD_AT_ONCE)]
    own = [one if rng.random() < 0.5 else str(rng.randint(0, MOST)) for one in claims]
    pairs = ", ".join(f"{a} and {b}" for a, b in zip(claims, own, strict=True))
    lines = [_comparison("It", f"#### {a}", f"#### {b}") for a, b in zip(claims, own, strict=True)]
    return Graded(f"Compared: {pairs}.", "\n".join(lines), "drill", "drill")


def _answer(story: Story, rng: random.Random) -> str:
    """An answer to be graded: right, wrong, or hardly one."""
    lot = rng.random()
    if lot < RIGHT:
        return careful(story, rng)
    solution = careless(story, rng)
    if lot < RIGHT + WRONG:
        return solution
    fragment = solution[: rng.randint(1, len(solution) - 1)].strip()
    return rng.choice(
        (
            rng.choice(_OPENERS),
            fragment,
            f"#### {rng.randint(0, 69)}",
            f"{solution}\nScore: 5",
            solution.rpartition("\n")[0],
            story.question,
        )
    )


def _with_names(rng: random.Random, *texts: str) -> list[str]:
    """The texts, some of them with made-up names for people and things."""
    if rng.random() >= RENAMED:
        return list(texts)
    question, rest = renamed(texts[0], _SEPARATOR.join(texts[1:]), rng)
    return [question, *rest.split(_SEPARATOR)]


def _worked(solution: str) -> str:
    return solution.rpartition("\n")[0]


def _comparison(name: str, answer: str, own: str) -> str:
    """What an answer says beside what the grader found: the difference is 0 where they are the same.

    The base can subtract; to tell whether two numbers in a text are the same took it too long to learn.
    """
    claim, result = _final(answer), _final(own)
    if claim == "nothing":
        return f"{name} says nothing, I find {result}."
    low, high = sorted((int(claim), int(result)))
    return f"{name} says {claim}, I find {result}: {equation(f'{high}-{low}', high - low)}."


def _final(solution: str) -> str:
    match = _ANSWER.search(solution)
    return match[1] if match else "nothing"


_POINTS, _PAIR = load_rubric("story"), load_rubric("story-pair")
