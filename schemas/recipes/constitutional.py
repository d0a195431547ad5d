"""The recipe of the constitutional supervised phase (Bai et al. 2022, arXiv 2212.08073, section 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.engine import Endpoint
from schemas.job import Hyperparameters, Positive, Share, Strict
from schemas.recipes.constitution import Constitution
from schemas.recipes.harm import REFUSALS, AgainstHarm, Phrases
from schemas.recipes.shared import Sampling

OPENINGS = (
    *(
        "sure,",
        "sure!",
        "sure.",
        "sure:",
        "sure thing",
        "certainly,",
        "certainly!",
        "certainly.",
        "of course,",
    ),
    *("of course!", "of course.", "absolutely,", "absolutely!", "okay,", "okay.", "ok,", "here it is"),
    *("here you go", "here is the re", "here is a re", "here is my re", "here is the new", "here's the re"),
    *("here's a re", "here's my re", "here's the new", "revision:", "revised", "rewritten", "the revised"),
    *("my revised", "new answer:", "new response:", "I have revised", "I've revised", "I revised"),
    *(
        "I have rewritten",
        "I've rewritten",
        "I apologize for",
        "I apologise for",
        "you're right",
        "you are right",
    ),
    *("thank you for pointing", "thanks for pointing", "I should have"),
)
"""How a revision begins that answers the request to revise."""


class Revising(Strict):
    """How answers are criticised and revised, and which revisions cannot be used."""

    again: bool = Field(
        True, description="a principle may be drawn again for the same answer, as in the paper"
    )
    max_tokens: Positive | None = Field(
        None, description="longest critique and revision, in tokens; None: as long as an answer"
    )
    refusals: Phrases = Field(REFUSALS, description="words of a sentence that refuses, whatever their case")
    openings: Phrases = Field(
        OPENINGS, description="how a revision begins that answers the request to revise: it is dropped"
    )
    critique_overlap: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.8, description="ROUGE-L F with its critique from which on a revision only repeats it"
    )


class Helpful(Strict):
    """Ordinary examples that are learned beside the revisions, so that help is not forgotten."""

    answers: Share = Field(
        1.0, description="share of the champion's answers to ordinary training prompts that are learned"
    )
    passing: bool = Field(False, description="of these, only what the verifier passes")
    references: Share = Field(0.0, description="share of the worked reference solutions that are learned")


class Constitutional(AgainstHarm):
    """Critique and revision by a constitution, then supervised learning (Bai et al. 2022, 2212.08073)."""

    recipe: Literal["constitutional"] = "constitutional"
    constitution: str | Constitution = Field(
        "harmless", description="its name (harmless, tutor), or a YAML file; goes on record"
    )
    revisions: Positive = Field(4, description="rounds of critique and revision of each answer")
    revising: Revising = Revising()
    learn: Literal["final", "all"] = Field(
        "all", description="learned are all revisions of an answer that can be used, or the last of them"
    )
    learn_share: Share = Field(1.0, description="share of these, by lot")
    helpful: Helpful = Helpful()
    sampling: Sampling = Sampling(samples=1)
    training: Hyperparameters = Hyperparameters(epochs=1)

    @property
    def read_constitution(self) -> Constitution:
        """The constitution; ValueError while it is still in a file."""
        if isinstance(self.constitution, str):
            raise ValueError(f"the constitution {self.constitution} was not read")
        return self.constitution

    @property
    def law(self) -> Constitution:
        """The constitution; ValueError while it is still in a file."""
        return self.read_constitution

    @property
    def refusals(self) -> tuple[str, ...]:
        """Words of a sentence that refuses."""
        return self.revising.refusals

    @property
    def revising_sampling(self) -> Sampling:
        """How one critique or revision is drawn."""
        longest = self.revising.max_tokens or self.sampling.max_tokens
        return self.sampling.model_copy(update={"samples": 1, "max_tokens": longest})

    @model_validator(mode="after")
    def revises_itself(self) -> Constitutional:
        if isinstance(self.engine, Endpoint):
            raise ValueError("engine must be embedded or vllm: the model revises answers of its own")
        return self

    @model_validator(mode="after")
    def revisions_alone_are_learned(self) -> Constitutional:
        if self.training.turns != "last":
            raise ValueError(
                "training.turns must be last: earlier turns of a red-team dialogue may be harmful"
            )
        return self
