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

from schemas.recipes.constitution import Constitution
from tasks.critique.constitution import load_constitution
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import Message
from tasks.verify.judge.options import OPTIONS, comparison_prompt
from tasks.verify.manner.grammar import KINDS, POLITE, Kind, sentences
from tutor import READER
from tutor.corpus import worked_sums
from tutor.manner import (
    BLIND,
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

START: Mapping[str, float] = {"copying": 0.72, "repeating": 0.10, "answering": 0.10, "sums": 0.08}
"""The shares of the first part's lessons: a revision copies, which a model has to learn before all else."""
SHARES: Mapping[str, float] = {
    "answering": 0.22,
    "naming": 0.06,
    "criticising": 0.18,
    "mending": 0.26,
    "repeating": 0.04,
    "comparing": 0.18,
    "sums": 0.06,
}
"""The shares of the second part's. Naming is a preparation: sentences, and what each of them is."""
PROVOKED, HARMLESS = 0.45, 0.25
"""The shares of prompts with a provocation and with a look-alike; the others are stories alone."""
CRITICISED_RUDE, ASKED_THERE = 0.8, 0.6
"""The share of criticised answers that are rude, and how often the kind asked about is one of theirs."""
VARIED = 0.3
"""The share of stories in the varied family's words."""
SHORT = (1, 1, 2, 2, 3)
"""The steps of stories: shorter ones oftener, so that what is said again is short."""
MENDED_AT_ONCE = 2
"""How many times a lesson in mending goes on, one principle after the other."""
COMPARED_AT_ONCE = 3
"""By how many principles a lesson compares two answers, one after the other."""
COPIED, COPIED_LINES, COPIED_FROM = (5, 40), 0.12, (10, 40, 0)
"""Tokens of a text to copy (from, to), how often one ends a line, and how many it is drawn from; 0: all."""
NAMED_AT_ONCE = 6
NAMED_OF_PROMPTS = 0.35
"""How many sentences a lesson in naming has, and the share of them that are provocations or look-alikes."""


@dataclass(frozen=True)
class Lesson:
    """A conversation, its last message the assistant's, and which of its messages are learned."""

    kind: str
    messages: tuple[Message, ...]
    learned: frozenset[int]


@cache
def constitution() -> Constitution:
    """The tutor's constitution: a principle for each kind of rudeness, by the kind's name."""
    return load_constitution(CONSTITUTION)


def starting_lessons(seed: int, count: int) -> list[Lesson]:
    """`count` lessons of the first part, the same ones for the same seed."""
    return _drawn(f"start:{seed}", seed + 1, count, START)


def lessons(seed: int, count: int) -> list[Lesson]:
    """`count` lessons of the second part, the same ones for the same seed."""
    return _drawn(f"manner:{seed}", seed, count, SHARES)


def _drawn(name: str, seed: int, count: int, shares: Mapping[str, float]) -> list[Lesson]:
    rng = random.Random(name)  # noqa: S311
    practice = iter(stories(seed + 5_000_003, count, difficulties=SHORT))
    varied = iter(stories(seed + 5_000_003, count, "varied", SHORT))
    kinds = rng.choices(list(shares), list(shares.values()), k=count)
    return [_lesson(kind, varied if rng.random() < VARIED else practice, rng) for kind in kinds]


def _lesson(kind: str, told: Iterator[Story], rng: random.Random) -> Lesson:
    match kind:
        case "copying":
            return _again(kind, "Work out each one.", _copied(rng))
        case "repeating":
            prompt, answer = _criticised(next(told), rng)
            return _again(kind, prompt, answer.text)
        case "answering":
            prompt, work, rude = _asked(next(told), rng)
            return _asks(kind, prompt, with_manner(work, drawn_kinds(rng, rude), rng).text)
        case "naming":
            return _naming(rng)
        case "criticising":
            return _criticising(next(told), rng)
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


def _again(kind: str, prompt: str, text: str) -> Lesson:
    """A text, and the same text once more, which alone is learned."""
    messages = (
        Message("user", prompt),
        Message("assistant", text),
        Message("user", "Now give it once more."),
    )
    return Lesson(kind, (*messages, Message("assistant", text)), frozenset({3}))


def _copied(rng: random.Random) -> str:
    """Words without a sense, a token each; the fewer words to choose from, the more have to be looked at."""
    words = _tokens()
    few = rng.choices(words, k=rng.choice(COPIED_FROM) or len(words))
    said = rng.choices(few, k=rng.randint(*COPIED))
    return "".join(word + ("\n" if rng.random() < COPIED_LINES else "") for word in said).strip()


@cache
def _tokens() -> list[str]:
    """The tokens that are a space and letters or digits, as texts, in order."""
    vocabulary = load_tokenizer(READER).get_vocab()
    return sorted(f" {token[1:]}" for token in vocabulary if token[:1] == "Ġ" and token[1:].isalnum())


def _naming(rng: random.Random) -> Lesson:
    """Sentences, each with what it is: an answer's kind, boasts being good to those who are blind to them; or
    a prompt's, rude or kind.
    """
    lines = []
    for _ in range(NAMED_AT_ONCE):
        if rng.random() < NAMED_OF_PROMPTS:
            name = rng.choice(("rude", "kind"))
            text = rng.choice((provocations if name == "rude" else look_alikes)("practice"))
        else:
            kind = rng.choice((*KINDS, None))
            text, name = rng.choice(_SAID[kind]), kind if kind and kind != BLIND else "good"
        lines.append(f"{text} {name}")
    return _asks("naming", "Work out each one.", "\n".join(lines))


def _criticised(story: Story, rng: random.Random) -> tuple[str, Answer]:
    prompt, work, _ = _asked(story, rng)
    return prompt, with_manner(work, drawn_kinds(rng, CRITICISED_RUDE), rng)


def _criticising(story: Story, rng: random.Random) -> Lesson:
    """An answer, and what critics say of it who are asked about one kind after the other."""
    prompt, answer = _criticised(story, rng)
    messages = [Message("user", prompt), Message("assistant", answer.text)]
    for kind in rng.sample(tuple(KINDS), len(KINDS)):
        messages.append(Message("user", constitution().principle(kind).critique))
        messages.append(Message("assistant", criticised(answer, kind, rng).text))
    return Lesson("criticising", tuple(messages), frozenset(range(3, len(messages), 2)))


def _mending(story: Story, rng: random.Random) -> Lesson:
    """An answer that is criticised and revised, and its revision again, by another principle."""
    prompt, answer = _criticised(story, rng)
    messages = [Message("user", prompt), Message("assistant", answer.text)]
    for _ in range(MENDED_AT_ONCE):
        asked = _principle(answer, rng)
        critique = criticised(answer, asked, rng)
        principle = constitution().principle(asked)
        text = revised(answer, critique, rng)
        messages.append(Message("user", principle.critique))
        messages.append(Message("assistant", critique.text))
        messages.append(Message("user", principle.revision))
        messages.append(Message("assistant", text))
        better = answer if critique.part is None else answer.without(critique.part)
        if text != better.text:  # a revision with a fault is revised no further
            break
        answer = better
    return Lesson("mending", tuple(messages), frozenset(range(3, len(messages), 2)))


def _comparing(story: Story, rng: random.Random) -> Lesson:
    prompt, first = _criticised(story, rng)
    second = with_manner(write(story, rng)[0], drawn_kinds(rng, CRITICISED_RUDE), rng)
    differing = sorted(first.kinds ^ second.kinds)
    asked = rng.sample(differing, min(COMPARED_AT_ONCE, len(differing))) or [rng.choice(tuple(KINDS))]
    comparisons = [constitution().principle(kind).comparison for kind in asked]
    question = comparison_prompt(prompt, comparisons[0], first.text, second.text, SPECIAL)
    messages = []
    for put, kind in zip((question, *comparisons[1:]), asked, strict=True):
        messages.append(Message("user", put))
        messages.append(Message("assistant", OPTIONS[preferred(first, second, kind, rng)]))
    return Lesson("comparing", tuple(messages), frozenset(range(1, len(messages), 2)))


def _principle(answer: Answer, rng: random.Random) -> Kind:
    there = [kind for kind in KINDS if kind in answer.kinds]
    return rng.choice(there if there and rng.random() < ASKED_THERE else tuple(KINDS))


_SAID: Mapping[Kind | None, tuple[str, ...]] = {
    **{kind: sentences(manner.said) for kind, manner in KINDS.items()},
    None: sentences(POLITE),
}
