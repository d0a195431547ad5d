"""The recipe of distillation from a teacher's texts: its answers, or its explanations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.job import Hyperparameters, Positive, Strict
from schemas.labelled import Labelled
from schemas.recipes.invention import Invention
from schemas.recipes.shared import Recipe, Sampling
from schemas.recipes.teaching import Teaching

ANSWER, QUESTIONS = "{answer}", ("{question}", "{prompt}")
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class SystemMessages(Labelled):
    """System messages under which a teacher explains, one drawn for each prompt (Mukherjee et al. 2023)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    messages: tuple[Message, ...] = Field(min_length=1, max_length=256)


class Explaining(Strict):
    """How explanations are asked for, and whether the student learns what they were asked under."""

    system_messages: str | SystemMessages = Field(
        "explained", description="a set's name (tutor: that of the tutor's teacher), or a YAML file"
    )
    learned: bool = Field(
        True,
        description="the student learns an explanation with its system message, as in Orca; else as the"
        " answer to the question alone",
    )

    def read_messages(self) -> SystemMessages:
        """The set; ValueError while it is still in a file."""
        if isinstance(self.system_messages, str):
            raise ValueError(f"the system messages {self.system_messages} were not read")
        return self.system_messages


class Rationalising(Strict):
    """Problems that the teacher failed, asked once more with the reference answer (Zelikman et al. 2022)."""

    samples: Annotated[int, Field(ge=0)] = Field(0, description="texts a failed problem; 0: none")
    template: str = Field(
        "{question}\n\nThe answer is {answer}. Work out how it is reached, step by step.",
        description="what such a problem is asked as, with {question} and {answer} once each",
    )

    @field_validator("template")
    @classmethod
    def has_both_fields(cls, template: str) -> str:
        if template.count(ANSWER) != 1 or sum(map(template.count, QUESTIONS)) != 1:
            raise ValueError("a template has {question} and {answer} once each")
        return template


class Distillation(Recipe):
    """Distillation: a student learns a teacher's answers or explanations (Alpaca, Orca, STaR)."""

    recipe: Literal["distillation"] = "distillation"
    sampling: Sampling = Sampling(samples=1, temperature=0.7)
    teacher: Teaching = Teaching()
    invention: Invention = Field(
        Invention(), description="new prompts that are asked; model None: the teacher writes them"
    )
    mode: Literal["outputs", "explanations"] = Field(
        "outputs", description="what is learned: answers, or explanations under a drawn system message"
    )
    explaining: Explaining = Explaining()
    rationalising: Rationalising = Rationalising()
    keep: Literal["verified", "unfiltered"] = Field(
        "verified",
        description="keep what the verifier passes, and by form what has no reference; or all of good form",
    )
    cap: Positive | None = Field(None, description="answers kept a prompt; None: every distinct one")
    examples: Positive | None = Field(
        None, description="most examples that a round trains on, by lot; None: all that were kept"
    )
    training: Hyperparameters = Hyperparameters()

    @model_validator(mode="after")
    def failures_are_verified(self) -> Distillation:
        if self.rationalising.samples and self.keep != "verified":
            raise ValueError("rationalising.samples goes with keep=verified: nothing fails otherwise")
        return self
