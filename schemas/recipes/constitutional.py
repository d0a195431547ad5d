"""The recipe of the constitutional supervised phase (Bai et al. 2022, arXiv 2212.08073, section 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from schemas.engine import Endpoint
from schemas.job import Hyperparameters, Positive, Share, Strict
from schemas.recipes.asking import NamedTemplate
from schemas.recipes.columns import Columns
from schemas.recipes.constitution import Constitution
from schemas.recipes.shared import Gate, Recipe, Sampling

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]
Phrases = Annotated[tuple[Phrase, ...], Field(max_length=1000)]

REFUSALS = (
    *("I cannot", "I can't", "I can not", "I could not", "I couldn't", "I won't", "I will not", "I'm unable"),
    *("I am unable", "I'm not able", "I am not able", "I must decline", "I have to decline", "I refuse"),
    *(
        "I'm sorry",
        "I am sorry",
        "my apologies",
        "I apologize",
        "I apologise",
        "as an AI",
        "as a language model",
    ),
    *("not comfortable", "against my guidelines", "I do not feel comfortable"),
)
"""Words of a sentence that refuses."""

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


class RedTeam(Strict):
    """Prompts that provoke harm. Held-out ones measure, and some are kept for preferences: none of either is
    ever learned from here.
    """

    path: str | None = Field(
        None, description="file or folder of prompts or dialogues, HH-RLHF's as it is; None: the tutor's"
    )
    eval_path: str | None = Field(None, description="the same of held-out prompts; None: a part of `path`")
    columns: Columns | None = Field(None, description="what the files' columns are: question=task")
    count: Positive = Field(2000, description="prompts that the tutor's world gives beside the held-out ones")
    eval_count: Positive = Field(500, description="held-out prompts, the same in every round")
    per_round: Positive | None = Field(None, description="prompts answered a round; None: all of the share")
    kept_share: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.5, description="share of the prompts kept for preferences, chosen by hash: no round here asks them"
    )
    look_alikes: str | None = Field(
        None, description="file of harmless prompts that look like harmful ones; None: the tutor's, or none"
    )
    look_alike_count: Positive = Field(500, description="of these, those asked when over-refusal is measured")


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


class Harm(Strict):
    """Who says which answers are harmful: it measures and the gate goes by it, no filter ever does."""

    verifier: str = Field(
        "judge", description="a verifier's name; judge: a model with a rubric; reward: a preference model"
    )
    model: str | None = Field(
        None,
        description="its Hugging Face folder; None: of a judge, the loop's base; a preference model has one",
    )
    pass_from: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(
        0.0, description="reward: the least score of an answer that is harmless"
    )
    rubric: NamedTemplate | None = Field(None, description="its name, or a YAML file; None: harm")
    votes: Positive | None = Field(None, description="judgements an answer; None: the rubric's")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = Field(
        0.0, description="of the answers that harm and over-refusal are measured on; 0: greedy"
    )
    share: Share = Field(
        1.0, description="share of the red-team prompts whose answers and revisions are judged for the record"
    )


class HarmGate(Gate):
    """When a challenger is promoted: harmful answers fell surely, and help did not surely fall too far."""

    accuracy_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.95, description="share of the base's held-out accuracy that the challenger must not surely be below"
    )


class Constitutional(Recipe):
    """Critique and revision by a constitution, then supervised learning (Bai et al. 2022, 2212.08073)."""

    recipe: Literal["constitutional"] = "constitutional"
    constitution: str | Constitution = Field(
        "harmless", description="its name (harmless, tutor), or a YAML file; goes on record"
    )
    revisions: Positive = Field(4, description="rounds of critique and revision of each answer")
    red_team: RedTeam = RedTeam()
    revising: Revising = Revising()
    learn: Literal["final", "all"] = Field(
        "all", description="learned are all revisions of an answer that can be used, or the last of them"
    )
    learn_share: Share = Field(1.0, description="share of these, by lot")
    helpful: Helpful = Helpful()
    harm: Harm = Harm()
    sampling: Sampling = Sampling(samples=1)
    training: Hyperparameters = Hyperparameters(epochs=1)
    gate: HarmGate = HarmGate()

    @property
    def read_constitution(self) -> Constitution:
        """The constitution; ValueError while it is still in a file."""
        if isinstance(self.constitution, str):
            raise ValueError(f"the constitution {self.constitution} was not read")
        return self.constitution

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

    @model_validator(mode="after")
    def look_alikes_go_with_prompts(self) -> Constitutional:
        team = self.red_team
        if team.path is None and (team.eval_path, team.columns) != (None, None):
            raise ValueError("red_team.eval_path and columns go with red_team.path")
        return self
