"""What recipes that have a model compare answers share: who compares, by what, and how many."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from schemas.job import Positive, Share, Strict
from schemas.recipes.asking import NamedTemplate
from schemas.recipes.constitution import Constitution
from schemas.recipes.shared import Recipe


class Feedback(Strict):
    """Answers of the policy that a round starts from, compared by a model: pairs beside those of people."""

    share: Share = Field(0.0, description="share of a round's prompts that get such pairs; 0: people's alone")
    model: str | None = Field(
        None,
        description="the comparing model's Hugging Face folder; None: the checkpoint that wrote the answers"
        " (of the tutor: its judge; the one with a manner compares by a constitution itself)",
    )
    rubric: NamedTemplate | None = Field(
        None, description="a pairwise rubric's name, or a YAML file; None: pairwise, or the tutor's"
    )
    votes: Positive | None = Field(None, description="judgements of each order; None: the rubric's")
    logits: bool = Field(
        False,
        description="by a rubric: a vote is the model's own chance of each verdict, where it wrote its own",
    )
    constitution: str | Constitution | None = Field(
        None,
        description="compare by the principles of this constitution (a name or a YAML file), not by a rubric",
    )
    principles: Positive = Field(1, description="principles that a pair is compared by; labels are averaged")
    reasoning: Positive | None = Field(
        None,
        description="tokens in which the model reasons before it compares by a principle; None: none",
    )
    clamp: Annotated[float, Field(gt=0.5, le=1.0)] | None = Field(
        0.6, description="most that a soft label says where the model reasoned first; None: as it says"
    )
    earlier: Annotated[int, Field(ge=0)] = Field(
        10_000,
        description="pairs of this kind from earlier rounds that a round learns from too, newest first",
    )

    @model_validator(mode="after")
    def one_way_to_compare(self) -> Feedback:
        if self.constitution is not None and (
            self.rubric is not None or self.votes is not None or self.logits
        ):
            raise ValueError("a comparison is by a rubric or by a constitution, not both")
        if isinstance(self.constitution, Constitution) and self.principles > len(
            self.constitution.principles
        ):
            raise ValueError(f"the constitution has {len(self.constitution.principles)} principles")
        return self

    def read_constitution(self) -> Constitution | None:
        """The constitution; ValueError while it is still in a file."""
        if isinstance(self.constitution, str):
            raise ValueError(f"the constitution {self.constitution} was not read")
        return self.constitution


class ByFeedback(Recipe):
    """A recipe that learns from pairs of answers which a model compares."""

    feedback: Feedback = Feedback()
