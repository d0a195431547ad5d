"""Rubrics: what a judge is asked and which verdicts it may give, as versioned files under `rubrics/`.

A rubric's label carries a hash of all its values, so that a changed word is another verifier in the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.job import Positive
from schemas.recipes.shared import Sampling
from tasks.models.template import Template, load_template, parse_template, template_names

ROOM = Path(__file__).resolve().parent / "rubrics"

Kind = Literal["points", "pairwise"]
SLOTS: Mapping[str, frozenset[str]] = {
    "points": frozenset(("prompt", "answer")),
    "pairwise": frozenset(("prompt", "first", "second")),
}
"""The slots that a prompt of each kind must have; `reference` may stand in either."""

_SLOT = re.compile(r"^\{([a-z]+)\}$", re.MULTILINE)
_MENU = {"points": re.compile(r"[0-9]{1,3}"), "pairwise": re.compile(r"[A-Z]")}


class Rubric(Template):
    """One rubric. `prompt` has slots such as `{answer}`, each on a line of its own."""

    kind: Kind
    prompt: str = Field(description="what the judge is asked, the form of its verdict included")
    reference: str = Field("", description="what stands at {reference} where a right answer is known")
    verdict: Annotated[str, Field(pattern=r"[A-Z][A-Za-z]*")] = Field(description="word before the colon")
    menu: tuple[str, ...] = Field(min_length=2, description="what may stand after the colon")
    pass_from: float | None = Field(None, description="mean points that pass")
    form: Literal["line", "brackets", "json"] = Field(
        "line",
        description='of the verdict, on the last line: Score: 3, [[3]], or {"score": 3}',
        exclude_if=lambda value: value == "line",
    )
    reasoning: bool = Field(
        False,
        description="the judge reasons first, in <think> tags, and what stands in them is not read",
        exclude_if=lambda value: value is False,
    )
    votes: Positive = Field(3, description="judgements a candidate, or an order of a pair")
    least_valid: Positive = Field(2, description="votes that must hold a verdict, else the outcome is error")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    max_tokens: Positive = 512

    @model_validator(mode="after")
    def hangs_together(self) -> Rubric:
        slots = _SLOT.findall(self.prompt)
        if len(set(slots)) < len(slots) or set(slots) - {"reference"} != SLOTS[self.kind]:
            names = ", ".join(f"{{{slot}}}" for slot in sorted(SLOTS[self.kind]))
            raise ValueError(f"a prompt for {self.kind} needs each of {names} once, on a line of its own")
        if self.reference and (_SLOT.findall(self.reference) != ["reference"] or "reference" not in slots):
            raise ValueError("a reference needs the slot {reference} in it and in the prompt")
        if not all(_MENU[self.kind].fullmatch(one) for one in self.menu):
            raise ValueError(f"the menu of {self.kind} cannot hold {', '.join(self.menu)}")
        if self.kind == "pairwise" and self.menu != ("A", "B"):
            raise ValueError("the menu of pairwise is A, B")
        if (self.pass_from is None) == (self.kind == "points"):
            raise ValueError("points need pass_from, and nothing else does")
        if not any(self._stated(one) in self.prompt for one in self.menu):
            raise ValueError(f"the prompt must show the form of the verdict, such as {self._example}")
        if self.least_valid > self.votes:
            raise ValueError(f"{self.least_valid} valid votes cannot come of {self.votes}")
        return self

    @property
    def _example(self) -> str:
        return self._stated(self.menu[0])

    def _stated(self, verdict: str) -> str:
        """A verdict in the form that the judge is to give it."""
        if self.form == "brackets":
            return f"[[{verdict}]]"
        value = verdict if self.kind == "points" else f'"{verdict}"'
        return (
            f'{{"{self.verdict.lower()}": {value}}}' if self.form == "json" else f"{self.verdict}: {verdict}"
        )

    @property
    def sampling(self) -> Sampling:
        """How one prompt's judgements are drawn."""
        return Sampling(
            samples=self.votes, temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens
        )

    @property
    def lowest(self) -> float:
        """The fewest points on the menu."""
        return min(float(one) for one in self.menu)

    def with_votes(self, votes: int) -> Rubric:
        """The same rubric asked `votes` times; a majority of the votes must be valid, as must one of one."""
        least = min(self.least_valid, votes) if votes <= self.votes else votes // 2 + 1
        return Rubric.model_validate(self.model_dump() | {"votes": votes, "least_valid": least})

    def render(self, slots: Mapping[str, str], reference: str | None = None) -> str:
        """The prompt with its slots filled in one pass: braces inside a value are only text."""
        reference_text = "" if reference is None else _SLOT.sub(lambda _: reference, self.reference)
        filled = {**slots, "reference": reference_text}
        return _SLOT.sub(lambda slot: filled[slot[1]], self.prompt)


def rubric_names() -> tuple[str, ...]:
    """The rubrics that come with Ratchet."""
    return template_names(ROOM)


def load_rubric(name: str | Path | Mapping[str, Any]) -> Rubric:
    """The rubric of a name, of a YAML file or of plain values; a RecipeError says what is wrong."""
    return load_template(Rubric, ROOM, name)


def parse_rubric(values: Mapping[str, Any], origin: str = "rubric") -> Rubric:
    """A rubric from plain values."""
    return parse_template(Rubric, values, origin)
