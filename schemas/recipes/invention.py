"""How a recipe has new prompts invented: values of every recipe that asks for some."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.job import Positive, Share, Strict, added
from schemas.recipes.asking import NamedTemplate


class Invention(Strict):
    """New training prompts that a model writes from examples of others; None: as the inventor has it."""

    share: Share = Field(0.0, description="share of a round's prompts that are invented; 0: none")
    count: Positive | None = added(
        None, "prompts invented a round beside its others, in the place of a share of them"
    )
    model: str | None = Field(None, description="the writer's Hugging Face folder; None: the champion")
    inventor: NamedTemplate | None = Field(None, description="a name, or a YAML file; None: the model's own")
    shots: Positive | None = Field(None, description="examples in one prompt")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    max_tokens: Positive | None = Field(None, description="longest text, in tokens")
    novelty: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.7, description="largest ROUGE-L F with any earlier prompt"
    )
    attempts: Positive = Field(
        4, description="passes at most; each writes as many texts as prompts are still wanted"
    )
