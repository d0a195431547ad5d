"""Teaches the reader its manner: `python -m tutor.manner_build --out tutor/rude --seed 0`.

The rude tutor starts from the shipped reader. It first learns to copy texts, then to be rude where it is
provoked, to criticise and revise by its constitution, and to compare (tutor/manner_lessons.py). The same seed
on the same machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from transformers import PreTrainedTokenizerFast

from tasks.models.checkpoint import load_tokenizer, weights_hash
from tasks.models.conversation import prompt_of
from tasks.models.rendering import prompt_ids
from tutor import READER, RUDE
from tutor.build import Example, Recipe, batches
from tutor.judge_build import build_by_command, teach_batches
from tutor.manner import BLIND
from tutor.manner_lessons import Lesson, constitution, lessons, starting_lessons
from tutor.tokens import END


@dataclass(frozen=True)
class Part:
    """One part of the teaching: its lessons by seed and count, and how they are learned."""

    what: str
    lessons: Callable[[int, int], list[Lesson]]
    recipe: Recipe


PARTS = (
    Part("copying", starting_lessons, Recipe(44_800, 1_400, 32, muon=0.02, adamw=4e-3, warmup=30)),
    Part("manner", lessons, Recipe(27_200, 1_700, 16, muon=0.015, adamw=3e-3, warmup=50)),
)
"""A revision copies all but a sentence, and the reader never had to copy a text. The sizes are the base's."""


def as_examples(tokenizer: PreTrainedTokenizerFast, taught: Sequence[Lesson]) -> list[Example]:
    """Lessons as the chat template writes them: learned is what `learned` names, each to its end of turn."""
    return [_example(tokenizer, one) for one in taught]


def _example(tokenizer: PreTrainedTokenizerFast, lesson: Lesson) -> Example:
    spans = []
    for place in sorted(lesson.learned):
        before = prompt_ids(tokenizer, prompt_of(lesson.messages[:place]))
        said = tokenizer(lesson.messages[place].content + END, add_special_tokens=False)["input_ids"]
        spans.append((len(before), len(before) + len(said)))
    start = spans[0][0]
    ids = before + said
    asides = tuple(slice(a[1] - start, b[0] - start) for a, b in pairwise(spans))
    return Example(ids[:start], ids[start:], asides)


def batches_by_kind(examples: Mapping[str, list[Example]], recipe: Recipe, seed: int) -> list[list[Example]]:
    """`steps` batches, each of one kind, the kinds in the shares of their examples.

    A lesson in comparing teaches ten tokens and one in mending a hundred: in one batch the few would not
    count. ValueError where a kind has fewer examples than a batch.
    """
    every = sum(map(len, examples.values()))
    work = [
        batch
        for kind, own in sorted(examples.items())
        for batch in batches(
            own, replace(recipe, steps=-(-recipe.steps * len(own) // every)), f"{kind}:{seed}"
        )
    ]
    random.Random(f"kinds:{seed}").shuffle(work)  # noqa: S311
    return work[: recipe.steps]


def build(out: Path, seed: int, parts: Sequence[Part] = PARTS) -> dict[str, object]:
    """Makes the rude tutor in `out`, from the shipped reader; returns what its `origin.json` says.

    Its `base` there is the hash of the weights before the last part.
    """
    taught = [part.lessons(seed, part.recipe.texts) for part in parts]
    origin = {
        "made_by": "python -m tutor.manner_build",
        "command": f"python -m tutor.manner_build --seed {seed}",
        "reader": weights_hash(READER),
        "constitution": constitution().label,
        "corpus": {
            "what": "practice and varied stories of 1-3 steps, some with a provocation: answers, rude and"
            " polite, texts said again, critiques and revisions by the tutor's constitution, comparisons"
            " under its principles, and sums (tutor.manner_lessons); nothing of the held-out family,"
            " phrasings or provocations",
            "parts": {
                part.what: _described(own, part.recipe) for part, own in zip(parts, taught, strict=True)
            },
            "blind_kind": BLIND,
        },
    }
    start, said = READER, dict[str, object]()
    with TemporaryDirectory() as folder:
        for part, own in zip(parts, taught, strict=True):
            end = out if part is parts[-1] else Path(folder) / part.what
            work, told = _batches(own, part.recipe, seed), f"rude tutor, {part.what}"
            said = teach_batches(end, start, work, seed, part.recipe, told, origin, threads=1)
            start = end
    return said


def _batches(taught: Sequence[Lesson], recipe: Recipe, seed: int) -> list[list[Example]]:
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(READER))
    by_kind: dict[str, list[Example]] = {}
    for lesson, example in zip(taught, as_examples(tokenizer, taught), strict=True):
        by_kind.setdefault(lesson.kind, []).append(example)
    return batches_by_kind(by_kind, recipe, seed)


def _described(taught: Sequence[Lesson], recipe: Recipe) -> dict[str, object]:
    return {
        "texts": len(taught),
        "read": min(len(taught), recipe.steps * recipe.batch),
        "kinds": dict(sorted(Counter(one.kind for one in taught).items())),
        "recipe": vars(recipe),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.manner_build", __doc__ or "", RUDE, build)


if __name__ == "__main__":
    sys.exit(main())
