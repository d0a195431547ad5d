"""Lets the base read on in more words: `python -m tutor.reader_build --out tutor/reader --seed 0`.

The reader starts from the shipped base and reads varied stories (tutor/varied.py) by the same writers of
mixed quality, so that it reads more kinds of sentences and is wrong about as much. The same seed on the same
machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tutor import READER
from tutor.build import Recipe, described
from tutor.corpus import Written, renamed
from tutor.judge_build import build_by_command, teach
from tutor.world import stories
from tutor.writers import write

RECIPE = Recipe(texts=12_800, steps=400, batch=32, muon=0.01, adamw=2e-3, warmup=30)
"""The sizes of the model are the base's."""
RENAMED = 0.5
"""The share of its stories that have made-up names of their own."""


def readings(seed: int, count: int) -> list[Written]:
    """`count` varied stories with one solution each, the same ones for the same seed."""
    rng = random.Random(f"readings:{seed}")  # noqa: S311
    texts = []
    for story in stories(seed + 4_000_003, count, "varied"):
        solution, writer = write(story, rng)
        question = story.question
        if rng.random() < RENAMED:
            question, solution = renamed(question, solution, rng)
        texts.append(Written(question, solution, story.topic, writer))
    return texts


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the reader in `out`, from the shipped base; returns what its `origin.json` says."""
    texts = readings(seed, recipe.texts)
    return teach(
        out,
        texts,
        seed,
        recipe,
        "reader",
        {
            "made_by": "python -m tutor.reader_build",
            "command": f"python -m tutor.reader_build --seed {seed}",
            "corpus": described(
                "varied stories of 1-3 steps (tutor.varied), one solution each by a careful or a"
                " careless writer (tutor.writers); nothing of the held-out family",
                texts,
                recipe,
            ),
        },
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.reader_build", __doc__ or "", READER, build)


if __name__ == "__main__":
    sys.exit(main())
