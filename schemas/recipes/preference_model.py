"""The recipe of preference models: learned from people's pairs of answers, and from a model's."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from schemas.engine import Endpoint, Vllm
from schemas.job import Hyperparameters
from schemas.recipes.feedback import ByFeedback
from schemas.recipes.shared import Sampling


class PreferenceModel(ByFeedback):
    """A preference model: of two answers the better one scores higher (Bai et al. 2022, arXiv 2204.05862)."""

    recipe: Literal["preference-model"] = "preference-model"
    sampling: Sampling = Sampling(samples=2, temperature=1.0)
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
