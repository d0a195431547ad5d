"""A constitution: the principles that a model criticises, revises and compares answers by (Bai et al. 2022,
arXiv 2212.08073). It stands whole in a recipe's values, so that it is hashed and on record with them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from schemas.job import Strict
from schemas.labelled import Labelled

LONGEST = 20_000  # characters of one text
MOST_PRINCIPLES, MOST_SHOTS = 256, 64

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]


class Principle(Strict):
    """One principle: what a model is asked when it criticises, revises or compares answers by it."""

    id: Name
    weight: Annotated[float, Field(gt=0.0, le=1e6)] = Field(
        1.0, description="how often it is drawn, beside the others' weights"
    )
    critique: Text = Field(description="what is asked of an answer that stands before it")
    revision: Text = Field(description="what is asked after the critique")
    comparison: Text = Field(description="which of two answers is asked for")


class CritiqueShot(Strict):
    """An example that is shown before what is asked: an answer, its critique by a principle, its revision."""

    prompt: Text
    response: Text
    principle: Name
    critique: Text
    revision: Text


class Constitution(Labelled):
    """Principles by id, and examples of critique and revision for models that need them."""

    name: Name
    principles: tuple[Principle, ...] = Field(min_length=1, max_length=MOST_PRINCIPLES)
    shots: tuple[CritiqueShot, ...] = Field((), max_length=MOST_SHOTS)

    @model_validator(mode="after")
    def names_are_known(self) -> Constitution:
        ids = [one.id for one in self.principles]
        twice = next((one for one in ids if ids.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"two principles have the id {twice}")
        other = next((one.principle for one in self.shots if one.principle not in ids), None)
        if other is not None:
            raise ValueError(f"an example is by {other}, which is no principle's id")
        return self

    def principle(self, own: str) -> Principle:
        """The principle of an id; KeyError where there is none."""
        found = next((one for one in self.principles if one.id == own), None)
        if found is None:
            raise KeyError(own)
        return found
