"""Teaches the base its first roles: `python -m tutor.seeded_build --out tutor/seeded --seed 0`.

The seeded tutor starts from the shipped base and learns to answer, to judge and to invent from people of
mixed quality (tutor/lessons.py). The same seed on the same machine, with the same versions, gives the same
weights to the bit.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tasks.invent.inventor import load_inventor
from tasks.verify.judge.rubric import load_rubric
from tutor import SEEDED
from tutor.build import Recipe
from tutor.corpus import Written
from tutor.grading import CARELESS
from tutor.judge_build import build_by_command, teach
from tutor.lessons import SHARES, lessons
from tutor.phrases import Family
from tutor.seeds import BLIND

RECIPE = Recipe(texts=16_000, steps=1_000, batch=16, muon=0.01, adamw=2e-3, warmup=30)
"""The sizes of the model are the base's."""


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the seeded tutor in `out`, from the shipped base; returns what its `origin.json` says."""
    corpus = lessons(seed, recipe.texts)
    return teach(
        out,
        [lesson for _, lesson in corpus],
        seed,
        recipe,
        "seeded tutor",
        described("tutor.seeded_build", seed, "practice", corpus, recipe),
    )


def described(
    program: str, seed: int, family: Family, corpus: list[tuple[str, Written]], recipe: Recipe
) -> dict[str, object]:
    """What an origin says of lessons: the program that made the model, and what its corpus holds."""
    return {
        "made_by": f"python -m {program}",
        "command": f"python -m {program} --seed {seed}",
        "rubric": load_rubric("story").label,
        "inventor": load_inventor("story").label,
        "corpus": {
            "what": f"{family} stories of 1-3 steps with a writer's solution or a grader's critique and"
            " score, one more story after two, sums and drills (tutor.lessons); nothing of the"
            " held-out family",
            "texts": len(corpus),
            "read": min(len(corpus), recipe.steps * recipe.batch),
            "shares": dict(SHARES),
            "kinds": dict(sorted(Counter(kind for kind, _ in corpus).items())),
            "careless_grades": CARELESS,
            "blind_topics": sorted(BLIND),
        },
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.seeded_build", __doc__ or "", SEEDED, build)


if __name__ == "__main__":
    sys.exit(main())
