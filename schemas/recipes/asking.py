"""How a question is put to a model: what stands around it, beside the model's own chat template."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from schemas.job import Strict

LONGEST = 20_000  # characters
Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]
FIELDS = ("{question}", "{prompt}")
"""What of a template the question takes the place of."""


NamedTemplate = str | dict[str, JsonValue]
"""A rubric or an inventor as a recipe has it: a name, a YAML file, or (on record) what that file held."""


class Shot(Strict):
    """One example that is shown with every question: a question and its answer."""

    question: Text
    answer: Text


class Asking(Strict):
    """What stands around a question. The default is nothing: the question as it is."""

    system: str | None = None
    template: str | None = None
    shots: tuple[Shot, ...] = ()
    shots_as: Literal["turns", "text"] = "turns"

    @property
    def is_plain(self) -> bool:
        """Whether a question is put as it is."""
        return self == Asking(shots_as=self.shots_as)

    @property
    def label(self) -> str:
        """12 hex digits over all that stands around a question."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def one_field(template: str) -> str:
    """A template that has one place for the question; ValueError where it has none, or several."""
    if sum(map(template.count, FIELDS)) != 1:
        raise ValueError("a template has {question} (or {prompt}) once, where the question stands")
    return template
