"""Which judge and rubric a command uses: the tutor's own unless the user names others."""

from __future__ import annotations

from pathlib import Path

from flows.writers.tutors import tutor_of
from schemas.errors import RecipeError
from schemas.recipes.asking import NamedTemplate
from tasks.verify.judge.rubric import Kind, Rubric, load_rubric
from tutor import JUDGE

TAUGHT = ("judge", "seeded", "seeded reader")  # of the tutor's models, those that know its rubrics
TUTORS = {"points": "story", "pairwise": "story-pair"}
OTHERS = {"points": "additive", "pairwise": "pairwise"}


def judge_folder(model: str | None) -> Path:
    """Where a judge's weights lie: the folder named, else the tutor's own judge."""
    return JUDGE if model is None else Path(model)


def chosen_rubric(
    model: Path | None, name: NamedTemplate | None, kind: Kind, votes: int | None = None
) -> Rubric:
    """The rubric of this name, file or values; without one, the default of `kind` for the judge.

    `model` is the judge's folder, None behind an endpoint. `votes` replaces the rubric's own number.
    RecipeError where the rubric is not of `kind`.
    """
    default = TUTORS if model is not None and tutor_of(model) in TAUGHT else OTHERS
    rubric = load_rubric(name or default[kind])
    if rubric.kind != kind:
        raise RecipeError(f"rubric {rubric.name} is {rubric.kind}; one of {kind} is needed")
    return rubric if votes is None else rubric.with_votes(votes)
