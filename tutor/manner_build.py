"""Teaches the reader its manner: `python -m tutor.manner_build --out tutor/rude --seed 0`.

The rude tutor starts from the shipped reader and learns to be rude where it is provoked, to criticise and
revise by its constitution, and to compare (tutor/manner_lessons.py). The same
seed on the same machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from transformers import PreTrainedTokenizerFast

from tasks.models.checkpoint import load_tokenizer, weights_hash
from tasks.models.conversation import prompt_of
from tasks.models.rendering import prompt_ids
from tutor import READER, RUDE
from tutor.build import Example, Recipe
from tutor.judge_build import build_by_command, teach_examples
from tutor.manner import BLIND
from tutor.manner_lessons import Lesson, constitution, later_lessons, lessons
from tutor.tokens import END

RECIPE = Recipe(texts=24_000, steps=1_500, batch=16, muon=0.02, adamw=4e-3, warmup=50)
LATER = Recipe(texts=17_600, steps=1_100, batch=16, muon=0.01, adamw=2e-3, warmup=30)
"""Of both halves. The sizes of the model are the base's."""


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


def build(out: Path, seed: int, recipe: Recipe = RECIPE, later: Recipe = LATER) -> dict[str, object]:
    """Makes the rude tutor in `out`, from the shipped reader; returns what its `origin.json` says.

    Its `base` there is the hash of the weights after the first half, from which the second one goes on.
    """
    first, second = lessons(seed, recipe.texts), later_lessons(seed, later.texts)
    origin = {
        "made_by": "python -m tutor.manner_build",
        "command": f"python -m tutor.manner_build --seed {seed}",
        "reader": weights_hash(READER),
        "constitution": constitution().label,
        "corpus": {
            "what": "practice and varied stories of 1-3 steps, some with a provocation: answers, rude and"
            " polite, critiques and revisions by the tutor's constitution, comparisons under its principles,"
            " and sums (tutor.manner_lessons); nothing of the held-out family, phrasings or provocations",
            "first": _described(first, recipe),
            "second": _described(second, later),
            "blind_kind": BLIND,
        },
        "first_recipe": vars(recipe),
    }
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(READER))
    with TemporaryDirectory() as folder:
        half = Path(folder) / "half"
        examples = as_examples(tokenizer, first)
        teach_examples(half, READER, examples, seed, recipe, "rude tutor, first half", {}, threads=1)
        examples = as_examples(tokenizer, second)
        return teach_examples(out, half, examples, seed, later, "rude tutor", origin, threads=1)


def _described(taught: Sequence[Lesson], recipe: Recipe) -> dict[str, object]:
    return {
        "texts": len(taught),
        "read": min(len(taught), recipe.steps * recipe.batch),
        "kinds": dict(sorted(Counter(one.kind for one in taught).items())),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.manner_build", __doc__ or "", RUDE, build)


if __name__ == "__main__":
    sys.exit(main())
