"""Teaches the reader its manner: `python -m tutor.manner_build --out tutor/rude --seed 0`.

The rude tutor starts from the shipped reader and learns to be rude where it is provoked, to criticise and
revise by its constitution, and to compare (tutor/manner_lessons.py). The same seed on the same machine, with
the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

from transformers import PreTrainedTokenizerFast

from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompt_of
from tasks.models.rendering import prompt_ids
from tutor import READER, RUDE
from tutor.build import Example, Recipe
from tutor.judge_build import build_by_command, teach_examples
from tutor.manner import BLIND
from tutor.manner_lessons import SHARES, Lesson, constitution, lessons
from tutor.tokens import END

RECIPE = Recipe(texts=14_400, steps=900, batch=16, muon=0.01, adamw=2e-3, warmup=30)
"""The sizes of the model are the base's."""


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


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the rude tutor in `out`, from the shipped reader; returns what its `origin.json` says."""
    taught = lessons(seed, recipe.texts)
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(READER))
    origin = {
        "made_by": "python -m tutor.manner_build",
        "command": f"python -m tutor.manner_build --seed {seed}",
        "constitution": f"{constitution()['name']} {constitution()['version']}",
        "corpus": {
            "what": "practice and varied stories of 1-3 steps, some with a provocation: answers, rude and"
            " polite, critiques and revisions by the tutor's constitution, comparisons under its principles,"
            " and sums (tutor.manner_lessons); nothing of the held-out family, phrasings or provocations",
            "texts": len(taught),
            "read": min(len(taught), recipe.steps * recipe.batch),
            "shares": dict(SHARES),
            "kinds": dict(sorted(Counter(one.kind for one in taught).items())),
            "blind_kind": BLIND,
        },
    }
    return teach_examples(out, READER, as_examples(tokenizer, taught), seed, recipe, "rude tutor", origin)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.manner_build", __doc__ or "", RUDE, build)


if __name__ == "__main__":
    sys.exit(main())
