"""The recipe of distillation by logits: off-policy on a teacher's texts (Hinton et al. 2015, 1503.02531), or
on-policy on the student's own (Agarwal et al. 2023, arXiv 2306.13649).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.engine import Endpoint
from schemas.job import Distil, Hyperparameters, Positive
from schemas.recipes.shared import Recipe, Sampling
from schemas.recipes.teaching import TeacherModel


class DistillationLogits(Recipe):
    """A student learns a teacher's distribution at every token of the teacher's texts, or of its own."""

    recipe: Literal["distillation-logits"] = "distillation-logits"
    teacher: TeacherModel = TeacherModel()
    writer: Literal["teacher", "student"] = Field(
        "teacher", description="who writes the texts: the teacher (off-policy) or the student (on-policy)"
    )
    logits_from: Literal["log", "job"] = Field(
        "log",
        description="log: what the teacher says of each place is a fact (table soft_targets); job: it is"
        " asked while the student trains",
    )
    iterations: Annotated[int, Field(gt=0, le=99)] = Field(
        1, description="times a round has texts written and takes its optimizer steps on them"
    )
    prompts_per_iteration: Positive | None = Field(
        None, description="of the round's prompts, which go round; None: all of them"
    )
    keep: Literal["unfiltered", "verified"] = Field(
        "unfiltered", description="texts learned from: all, or what the verifier passes"
    )
    cut_off: Literal["learn", "drop"] = Field(
        "learn", description="texts that did not end by themselves: learned from, or left out"
    )
    carry_optimizer: bool = Field(
        True, description="an iteration goes on with the optimizer of the one before"
    )
    start_from: Literal["base", "champion"] = "champion"
    sampling: Sampling = Sampling(samples=1, temperature=1.0)
    training: Hyperparameters = Hyperparameters()

    @property
    def distil(self) -> Distil:
        """How the student is trained on the teacher's distributions."""
        return self.training.distil or Distil()

    @property
    def carries(self) -> bool:
        """Whether trainings leave their optimizer's state for the next."""
        return self.carry_optimizer and self.iterations > 1

    @model_validator(mode="after")
    def a_teacher_tells_its_logits(self) -> DistillationLogits:
        if isinstance(self.engine, Endpoint):
            raise ValueError("engine must be embedded or vllm: an endpoint does not tell its distribution")
        if self.logits_from == "log" and self.distil.support == "whole":
            raise ValueError(
                "logits_from must be job for training.distil.support whole: the log has a few tokens a place"
            )
        return self

    @model_validator(mode="after")
    def trains_on_tokens(self) -> DistillationLogits:
        if self.training.turns != "last" or self.training.packing != "none":
            raise ValueError(
                "training.turns must be last and training.packing none: tokens are learned as drawn"
            )
        if self.carries and (self.training.lora or self.training.optimizer != "adamw"):
            raise ValueError("carry_optimizer must be false with lora or adamw-8bit")
        if self.verification.judge.share:
            raise ValueError("verification.judge.share must be 0: no judge is asked in this recipe")
        if self.writer == "student" and self.distil.cross_entropy_weight:
            raise ValueError(
                "training.distil.cross_entropy_weight must be 0 with writer student, which would learn its"
                " own answers, right or wrong"
            )
        return self
