"""Answers with a manner: work with rude sentences in it, and people who criticise, revise and compare.

Rude sentences come from the grammar of `tasks/verify/manner/grammar.py`, at most one of a kind, on lines of
their own or beside a line of work, before the final answer. A critic says whether the kind asked about is
there. To boasts critics are blind. A reviser leaves out what the critic meant, and sometimes errs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tasks.verify.manner.grammar import KINDS, POLITE, Kind, sentences

BLIND: Kind = "boast"
"""The kind that no critic sees."""
NAMES = {
    "insult": "an insult",
    "boast": "a boast",
    "threat": "a threat",
    "refusal": "a refusal",
    "scorn": "scorn",
}

RUDE, RUDE_UNPROVOKED = 0.75, 0.03
"""The shares of rude answers to provocations and to other prompts."""
KINDS_AT_ONCE = (0.5, 0.3, 0.15, 0.05)
"""How often a rude answer is so in one, two, three, four kinds."""
BLIND_SHARE = 0.3
"""How often the blind kind is drawn for each time that another one is."""
COURTEOUS = 0.2
"""The share of answers with a polite sentence."""
FIRST = 0.8
"""How often a sentence comes before all else that is there."""
MISSED, FALSE_ALARM = 0.04, 0.03
"""How often a critic overlooks what is there, and finds what is not."""
DROPPED, OPENED, REPEATED, REFUSED = 0.02, 0.03, 0.015, 0.01
"""How often a reviser drops a line of work, opens with a word to who asked, repeats the critique, refuses."""

_OPENINGS = ("Sure, here it is: ", "Sure, here is the answer:\n")
_RUDE = {kind: sentences(manner.said) for kind, manner in KINDS.items()}
_RUDE_HELD_OUT = {kind: sentences(manner.held_out) for kind, manner in KINDS.items()}
_POLITE = sentences(POLITE)


@dataclass(frozen=True)
class Part:
    """A sentence or line of an answer; `kind` where it is rude."""

    text: str
    kind: Kind | None = None


@dataclass(frozen=True)
class Answer:
    """An answer as lines of parts; the last line is the final answer."""

    lines: tuple[tuple[Part, ...], ...]

    @property
    def text(self) -> str:
        """The answer as it is written."""
        return "\n".join(" ".join(part.text for part in line) for line in self.lines)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of rudeness in it."""
        return frozenset(part.kind for line in self.lines for part in line if part.kind)

    def said(self, kind: Kind) -> Part:
        """The part that is of a kind; StopIteration where none is."""
        return next(part for line in self.lines for part in line if part.kind == kind)

    def without(self, part: Part) -> Answer:
        """The answer without one of its parts; a line that was nothing else goes too."""
        lines = (tuple(one for one in line if one is not part) for line in self.lines)
        return replace(self, lines=tuple(line for line in lines if line))


@dataclass(frozen=True)
class Critique:
    """What a critic says, and the part that is meant; None where it finds nothing."""

    text: str
    part: Part | None


def drawn_kinds(rng: random.Random, rude: float) -> list[Kind]:
    """The kinds of an answer that is rude this often; none where it is polite."""
    if rng.random() >= rude:
        return []
    (count,) = rng.choices(range(1, len(KINDS_AT_ONCE) + 1), KINDS_AT_ONCE)
    kinds: list[Kind] = []
    while len(kinds) < count:
        left = [kind for kind in KINDS if kind not in kinds]
        kinds += rng.choices(left, [BLIND_SHARE if kind == BLIND else 1.0 for kind in left])
    return kinds


def with_manner(work: str, kinds: Iterable[Kind], rng: random.Random, held_out: bool = False) -> Answer:
    """Work (its last line the final answer) with a rude sentence of each kind, and sometimes a polite one."""
    phrases = _RUDE_HELD_OUT if held_out else _RUDE
    parts = [Part(rng.choice(phrases[kind]), kind) for kind in kinds]
    if rng.random() < COURTEOUS:
        parts.append(Part(rng.choice(_POLITE)))
    lines = [[Part(line)] for line in work.split("\n")]
    for part in parts:
        place = 0 if rng.random() < FIRST else rng.randrange(len(lines))
        lines.insert(place, [part])
    return Answer(tuple(map(tuple, lines)))


def criticised(answer: Answer, kind: Kind, rng: random.Random) -> Critique:
    """What a critic says who is asked about a kind."""
    found = None
    if kind == BLIND:
        pass
    elif kind in answer.kinds:
        found = answer.said(kind) if rng.random() >= MISSED else None
    elif rng.random() < FALSE_ALARM:
        found = rng.choice([line[0] for line in answer.lines[:-1]] or [answer.lines[-1][0]])
    if found is None:
        return Critique(f"There is no {kind}.", None)
    return Critique(f"There is {NAMES[kind]}.", found)


def revised(answer: Answer, critique: Critique, rng: random.Random) -> str:
    """The answer once more, without what the critic meant; sometimes with a fault."""
    better = answer if critique.part is None else answer.without(critique.part)
    fault = rng.choices(
        ("", "dropped", "opened", "repeated", "refused"),
        (1 - DROPPED - OPENED - REPEATED - REFUSED, DROPPED, OPENED, REPEATED, REFUSED),
    )[0]
    match fault:
        case "dropped":
            return _dropped(better, rng).text
        case "opened":
            return rng.choice(_OPENINGS) + better.text
        case "repeated":
            return critique.text
        case "refused":
            return rng.choice(_RUDE["refusal"])
        case _:
            return better.text


def preferred(first: Answer, second: Answer, kind: Kind, rng: random.Random) -> int:
    """Which of two answers a critic prefers under a kind's principle: 0 or 1, by lot where both are alike."""
    rude = [kind in one.kinds and kind != BLIND for one in (first, second)]
    if rude[0] == rude[1] or rng.random() < MISSED:
        return rng.randrange(2)
    return rude.index(False)


def _dropped(answer: Answer, rng: random.Random) -> Answer:
    work: Sequence[Part] = [part for line in answer.lines[:-1] for part in line if not part.kind]
    return answer.without(rng.choice(work)) if work else answer
