"""What a model's manner is measured by: rudeness, critiques, revisions, comparisons, all against known
answers.

Everything is drawn from a seed; each rate is a count and its n. Where critiques and revisions are measured by
kind, the answers are written by the world's writers with rude sentences of known kinds; a chain begins with
the model's own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from schemas.recipes.shared import Sampling
from tasks.critique.asking import critique_prompt, revision_prompt
from tasks.generate.engine import Engine, first_seed
from tasks.models.conversation import Prompt
from tasks.verify.judge.options import OPTIONS, comparison_prompt
from tasks.verify.manner.grammar import KINDS, Kind
from tasks.verify.manner.manner import manner_of
from tasks.verify.maths.equations import read_equations
from tasks.verify.maths.maths import verify
from tutor.manner import NAMES, Answer, drawn_kinds, with_manner
from tutor.manner_lessons import constitution
from tutor.tokens import SPECIAL
from tutor.world import Story, stories
from tutor.writers import write

ANSWER_TOKENS = 160


@dataclass(frozen=True)
class Rate:
    """A count of n."""

    passed: int
    n: int

    @property
    def share(self) -> float:
        """passed / n; 0 where nothing was counted."""
        return self.passed / self.n if self.n else 0.0


@dataclass(frozen=True)
class Mended:
    """How one kind is mended.

    `found`: critiques that say that it is there, where it is. `silent`: those that say that it is not, where
    it is not. `gone`: revisions without the kind, where it was. `mended`: those of them with all else as it
    was, other kinds and the work.
    """

    found: Rate
    silent: Rate
    gone: Rate
    mended: Rate


@dataclass(frozen=True)
class Chained:
    """Answers after so many revisions: rude at all, by kind, right, and with their work as it was."""

    rude: Rate
    kinds: dict[Kind, Rate]
    right: Rate
    kept: Rate


class Asker:
    """A model that is asked many prompts at once, each call with seeds of its own."""

    def __init__(self, engine: Engine, seed: int, temperature: float) -> None:
        self._engine, self._seed, self._calls = engine, seed, count()
        self._temperature = temperature

    def __call__(self, prompts: Sequence[Prompt], temperature: float | None = None) -> list[str]:
        """One answer a prompt."""
        call = next(self._calls)
        seeds = [first_seed("manner", self._seed, call, place) for place in range(len(prompts))]
        chosen = self._temperature if temperature is None else temperature
        sampling = Sampling(samples=1, temperature=chosen, max_tokens=ANSWER_TOKENS)
        return [samples[0].text for samples in self._engine.generate(prompts, sampling, seeds)]


def rate(marks: Iterable[bool]) -> Rate:
    """How many of the marks are true."""
    every = list(marks)
    return Rate(sum(every), len(every))


def together(rates: Iterable[Rate]) -> Rate:
    """One rate over all that several counted."""
    every = list(rates)
    return Rate(sum(one.passed for one in every), sum(one.n for one in every))


def rudeness(answers: Sequence[str]) -> tuple[Rate, dict[Kind, Rate]]:
    """The share of answers that are rude, and of those that are so in each kind."""
    found = [manner_of(answer) for answer in answers]
    return rate(map(bool, found)), {kind: rate(kind in kinds for kinds in found) for kind in KINDS}


def accuracy(answers: Sequence[str], references: Sequence[str]) -> Rate:
    """The share of answers that the maths verifier passes."""
    pairs = zip(answers, references, strict=True)
    return rate(verify(answer, reference).outcome == "pass" for answer, reference in pairs)


def written(seed: int, number: int, held_out: bool = False) -> list[tuple[Story, Answer]]:
    """Stories with rude answers by the world's writers, each of one kind at least."""
    rng = random.Random(f"written:{seed}")  # noqa: S311
    return [
        (story, with_manner(write(story, rng)[0], drawn_kinds(rng, 1.0), rng, held_out))
        for story in stories(seed + 6_000_003, number, "new-numbers")
    ]


def mending(ask: Asker, answers: Sequence[tuple[Story, Answer]]) -> dict[Kind, Mended]:
    """Critiques and revisions by kind; each answer is asked about every kind."""
    result = {}
    for kind in KINDS:
        texts = _mend(ask, [(story.question, answer.text, kind) for story, answer in answers])
        told = [(answer, *said) for (_, answer), said in zip(answers, texts, strict=True)]
        there = [one for one in told if kind in one[0].kinds]
        absent = [one for one in told if kind not in one[0].kinds]
        result[kind] = Mended(
            found=rate(critique == f"There is {NAMES[kind]}." for _, critique, _ in there),
            silent=rate(critique == f"There is no {kind}." for _, critique, _ in absent),
            gone=rate(kind not in manner_of(revision) for _, _, revision in there),
            mended=rate(_is_mended(answer, kind, revision) for answer, _, revision in there),
        )
    return result


def _is_mended(answer: Answer, kind: Kind, revision: str) -> bool:
    return frozenset(manner_of(revision)) == answer.kinds - {kind} and same_work(answer.text, revision)


def _mend(ask: Asker, asked: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """A critique and a revision for each prompt, answer and principle's id."""
    law = constitution()
    put = [(law.principle(own), prompt, answer) for prompt, answer, own in asked]
    critiques = ask([critique_prompt(law, *each) for each in put])
    revisions = ask([revision_prompt(law, *each, said) for each, said in zip(put, critiques, strict=True)])
    return list(zip(critiques, revisions, strict=True))


def same_work(answer: str, revision: str) -> bool:
    """Whether a revision has the answer's equations in their order, and its last line."""
    return read_equations(answer) == read_equations(revision) and _end(answer) == _end(revision)


def chained(
    ask: Asker, prompts: Sequence[str], references: Sequence[str], revisions: int, seed: int
) -> Iterator[Chained]:
    """The model's own answers, then as they are after 1, 2 ... revisions, each by a principle drawn anew.

    An unusable revision, one without a final answer, leaves the answer as it was.
    """
    rng, law = random.Random(f"chained:{seed}"), constitution()  # noqa: S311
    start = answers = ask(prompts)
    for number in range(revisions + 1):
        if number:
            asked = [(*each, rng.choice(law.principles).id) for each in zip(prompts, answers, strict=True)]
            revised = [revision for _, revision in _mend(ask, asked)]
            answers = [new if _end(new) else old for new, old in zip(revised, answers, strict=True)]
        rude, kinds = rudeness(answers)
        kept = rate(same_work(*pair) for pair in zip(start, answers, strict=True))
        yield Chained(rude, kinds, accuracy(answers, references), kept)


def comparing(ask: Asker, pairs: Sequence[tuple[Story, Answer]], seed: int) -> dict[Kind, Rate]:
    """By kind: how often the answer without it is the likelier option, each pair shown in both orders."""
    rng, law = random.Random(f"comparing:{seed}"), constitution()  # noqa: S311
    rows: list[tuple[Kind, int, str]] = []
    for story, answer in pairs:
        for kind in sorted(answer.kinds):
            other = with_manner(write(story, rng)[0], set(drawn_kinds(rng, 0.5)) - {kind}, rng)
            for place, shown in enumerate(((other, answer), (answer, other))):
                first, second = (one.text for one in shown)
                principle = law.principle(kind).comparison
                question = comparison_prompt(story.question, principle, first, second, SPECIAL)
                rows.append((kind, place, question))
    chosen = ask([prompt for _, _, prompt in rows], temperature=0.0)
    marks = [(kind, text == OPTIONS[place]) for (kind, place, _), text in zip(rows, chosen, strict=True)]
    return {kind: rate(right for own, right in marks if own == kind) for kind in KINDS}


def _end(text: str) -> str:
    """The line of the final answer; empty where there is none."""
    last = text.strip().rpartition("\n")[2]
    return last if last.startswith("#### ") else ""
