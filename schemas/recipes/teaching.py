"""Who teaches a student, and what it may be asked for: values of every recipe that distils."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from schemas.engine import Budget
from schemas.job import Strict


class TeacherModel(Strict):
    """The teacher: a model's folder, the champion of another loop, or what the recipe's engine is."""

    model: str | None = Field(
        None,
        description="its Hugging Face folder; None: the engine's endpoint, the champion of `loop`, or else"
        " the tutor's teacher (make teacher)",
    )
    loop: str | None = Field(None, description="another loop whose champion teaches; a loop keeps it")
    lake: str | None = Field(None, description="the lake of that loop; None: this one")
    checkpoint: str | None = Field(
        None, description="a checkpoint of that loop that teaches in its champion's place"
    )

    @model_validator(mode="after")
    def one_teacher(self) -> Self:
        if self.model is not None and self.loop is not None:
            raise ValueError("a teacher is a model's folder or another loop's champion, not both")
        if self.loop is None and (self.lake is not None or self.checkpoint is not None):
            raise ValueError("lake and checkpoint go with loop, whose champion teaches")
        return self


class Teaching(TeacherModel):
    """The teacher, and what it may be asked for."""

    held_out: bool = Field(
        True, description="it answers the held-out prompts too, once: what a student copies of its mistakes"
    )
    budget: Budget = Field(
        Budget(),
        description="what it may be asked for over all rounds of the loop; spent, it is asked no more, and a"
        " round goes on with what it has",
    )
