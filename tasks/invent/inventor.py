"""Inventors: how a model is asked for a new prompt, few-shot, as versioned files under `inventors/`.

An example quoted into a prompt is hostile input: another model may have written it. It is quoted
so that it can hold no line of the frame and no special token (tasks/models/neutral.py).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from schemas.errors import BadInput
from schemas.job import Positive, Share, added
from schemas.recipes.shared import Sampling
from tasks.invent.form import Form
from tasks.models.neutral import quoted, unmarked, visible
from tasks.models.template import Template, load_template, template_names

ROOM = Path(__file__).resolve().parent / "inventors"

E = TypeVar("E")

_SLOT = re.compile(r"^\{([a-z]+)\}$", re.MULTILINE)


class Inventor(Template):
    """One inventor. `prompt` has the slot {examples}, `example` has {text}, each on a line of its own."""

    prompt: str = Field(description="what the writer is asked")
    example: str = Field(description="how one example stands in it; the next one follows on a new line")
    quote: Literal["lines", "line"] = Field(
        description='an example\'s lines behind "| ", or all of it as one line without a mark'
    )
    shots: Positive = Field(8, description="examples in one prompt")
    invented_share: Share = Field(0.25, description="share of the examples that were invented before")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 0.6
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    max_tokens: Positive = 512
    form: Form = Form()
    listed: Positive = added(1, "prompts asked for in one text, as a numbered list")

    @model_validator(mode="after")
    def has_its_slots(self) -> Inventor:
        for text, slot in ((self.prompt, "examples"), (self.example, "text")):
            if _SLOT.findall(text) != [slot]:
                raise ValueError(f"the slot {{{slot}}} is needed once, on a line of its own, and no other")
        return self

    @property
    def sampling(self) -> Sampling:
        """How the one text of a prompt is drawn."""
        return Sampling(samples=1, temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)

    def changed(self, **settings: object) -> Inventor:
        """The same inventor with other settings, and so another label; those that are None stay."""
        values = {name: value for name, value in settings.items() if value is not None}
        return Inventor.model_validate(self.model_dump() | values)

    def draw_examples(self, originals: Sequence[E], invented: Sequence[E], lot: int) -> list[E]:
        """The examples of one prompt, drawn by lot from original and from invented prompts, in order.

        The fraction of an example in the share is drawn by lot too; missing invented ones are replaced by
        originals. BadInput where there are too few originals.
        """
        rng = random.Random(lot)  # noqa: S311
        whole, over = divmod(self.shots * self.invented_share, 1)
        count = min(int(whole) + (rng.random() < over), len(invented))
        if len(originals) < self.shots - count:
            raise BadInput(f"inventor {self.name} shows {self.shots} prompts, the loop has {len(originals)}")
        examples = [*rng.sample(originals, self.shots - count), *rng.sample(invented, count)]
        rng.shuffle(examples)
        return examples

    def render(self, examples: Sequence[str], specials: Sequence[str] = ()) -> str:
        """The prompt with these examples, made harmless; `specials` are the writer's special tokens.

        Slots are filled in one pass: braces inside an example are only text.
        """
        examples_text = "\n".join(_filled(self.example, self._shown(text, specials)) for text in examples)
        return _filled(self.prompt, examples_text)

    def _shown(self, text: str, specials: Sequence[str]) -> str:
        try:
            if self.quote == "lines":
                return quoted(text, specials)
            return unmarked(visible(text).replace("\n", " "), specials)
        except ValueError as error:
            raise BadInput(f"a prompt cannot be shown as an example: {error}") from None


def _filled(template: str, value: str) -> str:
    return _SLOT.sub(lambda _: value, template)


def inventor_names() -> tuple[str, ...]:
    """The inventors that come with Ratchet."""
    return template_names(ROOM)


def load_inventor(name: str | Path | Mapping[str, Any]) -> Inventor:
    """The inventor of a name, of a YAML file or of plain values; a RecipeError says what is wrong."""
    return load_template(Inventor, ROOM, name)
