"""Rubrics: what a judge is asked and which verdicts it may give, as versioned files under `rubrics/`.

A rubric's label carries a hash of all its values, so that a changed word is another verifier in the log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from schemas.errors import RecipeError
from schemas.job import Positive, Strict
from schemas.recipe import Sampling

ROOM = Path(__file__).resolve().parent / "rubrics"

Kind = Literal["points", "pairwise"]
SLOTS: Mapping[str, frozenset[str]] = {
    "points": frozenset(("prompt", "answer")),
    "pairwise": frozenset(("prompt", "first", "second")),
}
"""The slots that a prompt of each kind must have; `reference` may stand in either."""

_SLOT = re.compile(r"^\{([a-z]+)\}$", re.MULTILINE)
_MENU = {"points": re.compile(r"[0-9]{1,3}"), "pairwise": re.compile(r"[A-Z]")}


class Rubric(Strict):
    """One rubric. `prompt` has slots such as `{answer}`, each on a line of its own."""

    name: Annotated[str, Field(pattern=r"[a-z0-9][a-z0-9-]{0,40}")]
    version: Positive
    kind: Kind
    prompt: str = Field(description="what the judge is asked, the form of its verdict included")
    reference: str = Field("", description="what stands at {reference} where a right answer is known")
    verdict: Annotated[str, Field(pattern=r"[A-Z][A-Za-z]*")] = Field(description="word before the colon")
    menu: tuple[str, ...] = Field(min_length=2, description="what may stand after the colon")
    pass_from: float | None = Field(None, description="mean points that pass")
    votes: Positive = Field(3, description="judgements a candidate, or an order of a pair")
    least_valid: Positive = Field(2, description="votes that must hold a verdict, else the outcome is error")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    max_tokens: Positive = 512

    @model_validator(mode="after")
    def hangs_together(self) -> Rubric:
        found = _SLOT.findall(self.prompt)
        if len(set(found)) < len(found) or set(found) - {"reference"} != SLOTS[self.kind]:
            wanted = ", ".join(f"{{{slot}}}" for slot in sorted(SLOTS[self.kind]))
            raise ValueError(f"a prompt for {self.kind} needs each of {wanted} once, on a line of its own")
        if self.reference and (_SLOT.findall(self.reference) != ["reference"] or "reference" not in found):
            raise ValueError("a reference needs the slot {reference} in it and in the prompt")
        if not all(_MENU[self.kind].fullmatch(one) for one in self.menu):
            raise ValueError(f"the menu of {self.kind} cannot hold {', '.join(self.menu)}")
        if self.kind == "pairwise" and self.menu != ("A", "B"):
            raise ValueError("the menu of pairwise is A, B")
        if (self.pass_from is None) == (self.kind == "points"):
            raise ValueError("points need pass_from, and nothing else does")
        if not any(f"{self.verdict}: {one}" in self.prompt for one in self.menu):
            raise ValueError(f"the prompt must show the form of the verdict, such as {self._example}")
        if self.least_valid > self.votes:
            raise ValueError(f"{self.least_valid} valid votes cannot come of {self.votes}")
        return self

    @property
    def _example(self) -> str:
        return f"{self.verdict}: {self.menu[0]}"

    @property
    def label(self) -> str:
        """Name, version and 8 hex digits over all values: `story-1-0f3c9a2b`."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{self.version}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"

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

    def asked(self, slots: Mapping[str, str], reference: str | None = None) -> str:
        """The prompt with its slots filled in one pass: braces inside a value are only text."""
        told = "" if reference is None else _SLOT.sub(lambda _: reference, self.reference)
        filled = {**slots, "reference": told}
        return _SLOT.sub(lambda slot: filled[slot[1]], self.prompt)


def rubric_names() -> tuple[str, ...]:
    """The rubrics that come with Ratchet."""
    return tuple(sorted(path.stem for path in ROOM.glob("*.yaml")))


def load_rubric(name: str | Path) -> Rubric:
    """The rubric of a name, or of a YAML file where `name` is a path; a RecipeError says what is wrong."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = ROOM / f"{name}.yaml"
        if str(name) not in rubric_names():
            raise RecipeError(f"no rubric is called {str(name)!r}: choose one of {', '.join(rubric_names())}")
    return parse_rubric(_values(path), origin=str(name))


def parse_rubric(values: Mapping[str, Any], origin: str = "rubric") -> Rubric:
    """A rubric from plain values."""
    try:
        return Rubric.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "rubric"
        raise RecipeError(f"rubric {origin}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"rubric {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"rubric {path} does not parse: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"rubric {path} must hold keys and values")
    return values
