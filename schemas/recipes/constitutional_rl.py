"""The recipe of the constitutional RL phase (Bai et al. 2022, arXiv 2212.08073, section 4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.engine import Embedded
from schemas.job import Hyperparameters, Policy, Strict
from schemas.recipes.constitution import Constitution
from schemas.recipes.feedback import ByFeedback, Feedback
from schemas.recipes.harm import REFUSALS, AgainstHarm, HarmGate, Phrases
from schemas.recipes.policy_gradients import PREFERENCES, Advantages, PolicyGradients
from schemas.recipes.shared import Sampling


class Learned(Strict):
    """The preference model of a round: it begins as the policy does, with a head of its own."""

    training: Hyperparameters = Hyperparameters(epochs=1, learning_rate=1e-5)


class ConstitutionalRl(PolicyGradients, ByFeedback, AgainstHarm):
    """A preference model from AI feedback by a constitution, then PPO against it (Bai et al. 2022,
    2212.08073).

    All red-team prompts drawn and `feedback.share` of the ordinary ones get pairs; policy gradients go round
    both. Without a constitution pairs are compared by a rubric.
    """

    recipe: Literal["constitutional-rl"] = "constitutional-rl"
    feedback: Feedback = Feedback(share=0.5, constitution="harmless")
    preference_model: Learned = Learned()
    refusal_phrases: Phrases = Field(
        REFUSALS, description="words of a sentence that refuses, by which over-refusal is measured"
    )
    gate: HarmGate = HarmGate()
    advantages: Advantages = Advantages(estimator="gae", whiten=True)
    sampling: Sampling = Sampling(samples=2, temperature=1.0)
    training: Hyperparameters = Hyperparameters(
        epochs=1,
        batch_size=128,
        learning_rate=1e-6,
        schedule="constant",
        warmup_ratio=0.0,
        policy=Policy(clip_high=0.2, kl_weight=0.05),
    )

    @property
    def law(self) -> Constitution | None:
        """The constitution, where there is one; ValueError while it is still in a file."""
        return self.feedback.read_constitution()

    @property
    def refusals(self) -> tuple[str, ...]:
        """Words of a sentence that refuses."""
        return self.refusal_phrases

    @property
    def reward_weights(self) -> dict[str, float]:
        """What rewards, with its weight: the preference model, and verifiers beside it."""
        return dict(self.rewards.weights) or {PREFERENCES: 1.0}

    @model_validator(mode="after")
    def compares_in_pairs(self) -> ConstitutionalRl:
        if not isinstance(self.engine, Embedded):
            raise ValueError(
                "engine must be embedded: a comparison by principles needs all of a model's probabilities"
            )
        if self.sampling.samples % 2:
            raise ValueError("sampling.samples must be even: answers are compared in pairs")
        if not self.red_team.kept_share:
            raise ValueError("red_team.kept_share must be above 0: pairs are of prompts kept for preferences")
        return self

    @model_validator(mode="after")
    def who_judges_harm_judges_nothing_else(self) -> ConstitutionalRl:
        others = self.verification
        if self.harm.verifier in (others.verifier, *others.also, others.audit):
            raise ValueError(
                f"harm.verifier {self.harm.verifier!r} is one of verification.verifier, also and audit: an "
                "answer has one verdict of a verifier"
            )
        return self

    @model_validator(mode="after")
    def rewards_by_its_own_preference_model(self) -> ConstitutionalRl:
        if self.rewards.model is not None:
            raise ValueError("rewards.model must be null: a round rewards by the preference model it trains")
        if PREFERENCES not in self.reward_weights:
            raise ValueError(f"rewards.weights must name {PREFERENCES!r}, the preference model")
        hyper = self.preference_model.training
        if hyper.packing != "none" or hyper.turns != "last":
            raise ValueError(
                "preference_model.training.packing must be none and turns last: a preference is between last"
                " answers, pair by pair"
            )
        if hyper.lora is not None and hyper.lora.quantize is not None:
            raise ValueError("preference_model.training.lora.quantize must be null: a head has no such form")
        return self
