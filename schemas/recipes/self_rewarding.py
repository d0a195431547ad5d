"""The recipe of self-rewarding rounds (Yuan et al. 2024, arXiv 2401.10020)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.engine import Endpoint
from schemas.job import Hyperparameters, Positive, Strict
from schemas.recipes.asking import NamedTemplate
from schemas.recipes.invention import Invention
from schemas.recipes.shared import Recipe, Sampling


class Rewarding(Strict):
    """Who rewards a round's answers, and which of them make a pair."""

    model: str | None = Field(
        None, description="a judge's Hugging Face folder; None: the checkpoint that wrote the answers"
    )
    rubric: NamedTemplate | None = Field(
        None, description="a rubric's name, or a YAML file; None: additive, or the tutor's"
    )
    votes: Positive | None = Field(None, description="judgements an answer, averaged; None: the rubric's")
    min_gap: Annotated[float, Field(ge=0.0)] = Field(
        0.5, description="points that a pair's rewards must be apart; ties never make a pair"
    )
    length_penalty: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="points less for an answer twice as long as its prompt's mean; 0: length is ignored"
    )


class SeedSets(Strict):
    """Demonstrations a loop begins with: of answering (the paper's IFT) and of judging (its EFT)."""

    instruction: str | None = Field(
        None, description="file of questions and answers; None: the tutor's, where prompts are its world's"
    )
    evaluation: str | None = Field(
        None,
        description="file of question, answer and judgement; None: the tutor's, as above",
    )
    count: Positive = Field(2000, description="demonstrations of each kind that the tutor's world writes")
    sft_start: bool = Field(
        False, description="round 0 fine-tunes the base on both seed sets instead of on preferences"
    )
    sft_training: Hyperparameters = Field(Hyperparameters(), description="how that fine-tuning trains")
    keep_judging: Annotated[float, Field(ge=0.0)] = Field(
        0.5, description="demonstrations of judging trained on in every round, for each pair; 0: none"
    )


class SelfRewarding(Recipe):
    """Self-rewarding: a model judges itself and learns by preference (Yuan et al. 2024, arXiv 2401.10020)."""

    recipe: Literal["self-rewarding"] = "self-rewarding"
    sampling: Sampling = Sampling(samples=4, temperature=0.7, top_p=0.9)
    invention: Invention = Invention()
    rewarding: Rewarding = Rewarding()
    seeds: SeedSets = SeedSets()
    start_from: Literal["base", "champion"] = "champion"
    training: Hyperparameters = Hyperparameters(learning_rate=1e-6, epochs=1)

    @property
    def filters_by(self) -> str:
        """The judge: no rule decides what this recipe learns from."""
        return "judge"

    @model_validator(mode="after")
    def writes_itself(self) -> SelfRewarding:
        if isinstance(self.engine, Endpoint):
            raise ValueError("engine must be embedded or vllm: the model learns from answers of its own")
        return self

    @model_validator(mode="after")
    def trains_on_pairs(self) -> SelfRewarding:
        if self.training.packing != "none":
            raise ValueError("training.packing must be none: pairs are not packed")
        if self.training.turns != "last":
            raise ValueError("training.turns must be last: a preference is between last answers")
        if self.verification.also:
            raise ValueError("verification.also must be empty: here the judge alone judges every answer")
        return self

    @model_validator(mode="after")
    def judges_once(self) -> SelfRewarding:
        if self.verification.judge.share:
            raise ValueError("verification.judge.share must be 0: here every answer is judged already")
        return self
