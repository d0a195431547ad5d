"""The recipe of preference models: learned from people's pairs of answers, and from a model's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.engine import Endpoint, Vllm
from schemas.job import Hyperparameters, Positive, Share, Strict
from schemas.recipes.asking import NamedTemplate
from schemas.recipes.constitution import Constitution
from schemas.recipes.shared import Recipe, Sampling


class Feedback(Strict):
    """Answers that the champion writes and a model compares: pairs beside those of people."""

    share: Share = Field(0.0, description="share of a round's prompts that get such pairs; 0: people's alone")
    model: str | None = Field(
        None,
        description="the comparing model's Hugging Face folder; None: the checkpoint that wrote the answers"
        " (of the tutor: its judge)",
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


class PreferenceModel(Recipe):
    """A preference model: of two answers the better one scores higher (Bai et al. 2022, arXiv 2204.05862)."""

    recipe: Literal["preference-model"] = "preference-model"
    sampling: Sampling = Sampling(samples=2, temperature=1.0)
    feedback: Feedback = Feedback()
    training: Hyperparameters = Hyperparameters(epochs=1, learning_rate=1e-5)

    @property
    def filters_by(self) -> str:
        """The comparing model, or people: no rule decides what this recipe learns from."""
        return "judge"

    @model_validator(mode="after")
    def answers_come_in_pairs(self) -> PreferenceModel:
        if self.feedback.share and (self.sampling.samples % 2 or not self.sampling.temperature):
            raise ValueError(
                "sampling.samples must be even and temperature above 0: answers are compared in pairs"
            )
        if isinstance(self.engine, Endpoint):
            raise ValueError("engine must be embedded or vllm: the pairs are the loop's own model's")
        weighed = self.feedback.constitution is not None or self.feedback.logits
        if isinstance(self.engine, Vllm) and self.feedback.share and weighed:
            raise ValueError(
                "engine must be embedded with feedback.constitution and feedback.logits: they need all of a "
                "model's probabilities"
            )
        return self

    @model_validator(mode="after")
    def learns_from_pairs(self) -> PreferenceModel:
        if self.training.packing != "none":
            raise ValueError("training.packing must be none: pairs are not packed")
        if self.training.turns != "last":
            raise ValueError("training.turns must be last: a preference is between last answers")
        if self.training.lora is not None and self.training.lora.quantize is not None:
            raise ValueError("training.lora.quantize must be None: a scalar head has no such form")
        if self.verification.also or self.verification.judge.share:
            raise ValueError(
                "verification.also and .judge.share must be empty: answers are compared, not graded"
            )
        return self
