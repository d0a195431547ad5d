"""Gives the seeded tutor lessons in more words: `python -m tutor.seeded_reader_build --out FOLDER --seed 0`.

The seeded reader starts from the seeded tutor and has the same kinds of lessons again, on varied stories
(tutor/varied.py), by the same people of mixed quality. The same seed on the same machine, with the same
versions, gives the same weights to the bit.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tutor import SEEDED, SEEDED_READER
from tutor.build import Recipe
from tutor.judge_build import build_by_command, teach
from tutor.lessons import lessons
from tutor.seeded_build import described

RECIPE = Recipe(texts=6_400, steps=400, batch=16, muon=0.01, adamw=2e-3, warmup=30)
"""The sizes of the model are the base's."""


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the seeded reader in `out`, from the seeded tutor; returns what its `origin.json` says."""
    corpus = lessons(seed, recipe.texts, "varied")
    return teach(
        out,
        [lesson for _, lesson in corpus],
        seed,
        recipe,
        "seeded reader",
        described("tutor.seeded_reader_build", seed, "varied", corpus, recipe),
        SEEDED,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.seeded_reader_build", __doc__ or "", SEEDED_READER, build)


if __name__ == "__main__":
    sys.exit(main())
