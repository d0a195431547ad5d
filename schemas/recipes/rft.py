"""The recipe of rejection-sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.engine import Endpoint
from schemas.job import Positive, Share, added
from schemas.recipes.shared import Recipe


class Rft(Recipe):
    """Rejection-sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825)."""

    recipe: Literal["rft"] = "rft"
    pool_checkpoints: Positive = Field(
        1,
        description="checkpoints sampled a round: the champion and the ones it succeeded, newest first",
    )
    pool_rounds: Annotated[int, Field(ge=0)] | None = Field(
        None, description="earlier rounds whose kept answers are trained on again; None: all"
    )
    pool_untaught: bool = added(
        False, "of earlier rounds, only those since the champion was trained: what it has not learned yet"
    )
    pool_budget: Positive | None = added(
        None, "most answers of earlier rounds trained on again, newest first; None: all"
    )
    unfiltered: tuple[Positive, ...] = added(
        (),
        "a control, not for use: so many answers a round, round 0 first, are trained on whatever the verifier"
        " says; the last number holds for all that follow",
    )
    cap: Positive | None = Field(None, description="answers kept a prompt; None: every distinct one")
    reference_share: Share = Field(1.0, description="share of the reference solutions trained on too (D)")

    @model_validator(mode="after")
    def endpoints_write_alone(self) -> Rft:
        if isinstance(self.engine, Endpoint) and self.pool_checkpoints > 1:
            raise ValueError("an endpoint's model writes alone: pool_checkpoints must be 1")
        return self
