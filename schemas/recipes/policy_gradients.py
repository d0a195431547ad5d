"""What recipes of policy gradients share: iterations, rewards in parts, advantages, a critic, drift."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.engine import Endpoint, Vllm
from schemas.job import Hyperparameters, Positive, Share, Strict, Weight
from schemas.recipes.shared import Recipe, Sampling

PREFERENCES = "reward"
"""The verifier that is a preference model."""


class Rewards(Strict):
    """What an answer is rewarded for: a weighted sum of parts, each of which stands in the log by itself."""

    weights: dict[str, float] = Field(
        {},
        description="verifiers of `verification`, and `reward`, a preference model, with what the value of"
        " their verdict counts; none: the verifier counts 1",
    )
    model: str | None = Field(
        None, description="the preference model's folder; None: the loop's own, promoted before"
    )
    contains: dict[str, float] = Field(
        {}, description="texts with what an answer gains that holds them just once (a form: '####')"
    )
    unfinished: Weight = Field(0.0, description="what an answer loses that did not end by itself")
    overlong: Weight = Field(
        0.0, description="what it loses at the longest, less before (DAPO, Yu et al. 2025, 2503.14476)"
    )
    overlong_tokens: Positive = Field(32, description="tokens before the longest in which that begins")


class Advantages(Strict):
    """How much better an answer was than expected (tasks/reward/advantages.py)."""

    estimator: Literal["group", "leave-one-out", "gae"] = Field(
        "group",
        description="a reward less the mean of its prompt's, or of the others'; or what a critic did not"
        " expect, token by token (PPO)",
    )
    scale: bool = Field(False, description="divide by the group's standard deviation, as GRPO does")
    whiten: bool = Field(False, description="give an iteration's advantages mean 0 and variance 1")
    discount: Share = Field(1.0, description="what a reward is worth a token earlier (gae)")
    decay: Share = Field(0.95, description="lambda: 0 trusts the critic, 1 what came (gae)")


class Critic(Strict):
    """The model that says what to expect, of estimator gae: it begins as the policy does."""

    warm_up: Positive = Field(1, description="times that it learns before the policy does")
    training: Hyperparameters = Hyperparameters(
        epochs=1, batch_size=128, learning_rate=1e-5, schedule="constant", warmup_ratio=0.0
    )


class PolicyGradients(Recipe):
    """Policy gradients on a model's own answers, in iterations."""

    iterations: Annotated[int, Field(gt=0, le=99)] = Field(
        20, description="times a round draws answers and takes its optimizer steps on them"
    )
    prompts_per_iteration: Positive = Field(64, description="of the round's prompts, which go round")
    rewards: Rewards = Rewards()
    advantages: Advantages = Advantages()
    critic: Critic = Critic()
    cut_off: Literal["learn", "drop"] = Field(
        "learn", description="answers that did not end by themselves: learned from, or left out"
    )
    no_signal: Literal["drop", "keep"] = Field(
        "drop",
        description="answers of a prompt whose answers all have the same reward, where neither a critic nor"
        " kl_in_reward tells them apart",
    )
    reference: Literal["start", "base"] = Field(
        "start",
        description="what the KL divergence is to: the policy that the round starts from, or the base",
    )
    watch_kl: bool = Field(True, description="compute that divergence in every iteration: one pass more")
    kl_budget: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="nats an answer over which the round goes no further; None: no budget"
    )
    kl_in_reward: Weight = Field(
        0.0, description="what an answer's KL costs of its reward, beside any in the loss"
    )
    carry_optimizer: bool = Field(
        True, description="an iteration goes on with the optimizer of the one before"
    )
    start_from: Literal["base", "champion"] = "champion"
    sampling: Sampling = Sampling(samples=8, temperature=1.0)
    training: Hyperparameters = Hyperparameters(
        epochs=1, batch_size=128, learning_rate=1e-6, schedule="constant", warmup_ratio=0.0
    )

    @property
    def has_critic(self) -> bool:
        """Whether a critic says what to expect."""
        return self.advantages.estimator == "gae"

    @property
    def keeps_groups_alike(self) -> bool:
        """Whether answers to a prompt all of whose answers have the same reward are learned from."""
        return self.no_signal == "keep" or self.has_critic or self.kl_in_reward > 0

    @property
    def trainings(self) -> tuple[Hyperparameters, ...]:
        """How an iteration trains: its policy, and its critic where there is one."""
        return (self.training, self.critic.training) if self.has_critic else (self.training,)

    @property
    def reward_weights(self) -> dict[str, float]:
        """The verifiers that reward, with their weights."""
        return dict(self.rewards.weights) or {self.verification.verifier: 1.0}

    @model_validator(mode="after")
    def draws_what_it_can_compute(self) -> Self:
        """The sampler's log-probabilities are the policy's own only where nothing is cut or penalised."""
        how = self.sampling
        wrong = {
            "top_p must be 1": how.top_p < 1,
            "top_k must be null": how.top_k is not None,
            "min_p must be 0": how.min_p > 0,
            "repetition_penalty must be 1": how.repetition_penalty != 1,
            "temperature must be above 0": how.temperature == 0,
            "samples must be 2 or more: an answer is compared with others": how.samples < 2,
        }
        if said := [name for name, is_wrong in wrong.items() if is_wrong]:
            raise ValueError(
                f"sampling.{said[0]} (a policy gradient needs the probabilities that tokens were drawn by)"
            )
        if isinstance(self.engine, Endpoint):
            raise ValueError("engine must be embedded or vllm: a policy learns from answers of its own")
        if isinstance(self.engine, Vllm) and how.temperature != 1:
            raise ValueError("sampling.temperature must be 1 with vllm, which tells log-probabilities at 1")
        return self

    @model_validator(mode="after")
    def trains_on_tokens(self) -> Self:
        both = (self.training, self.critic.training)
        if any(one.turns != "last" or one.packing != "none" for one in both):
            raise ValueError(
                "training.turns must be last and training.packing none: tokens are learned as drawn"
            )
        if self.carry_optimizer and any(one.lora or one.optimizer != "adamw" for one in self.trainings):
            raise ValueError("carry_optimizer must be false with lora or adamw-8bit, of policy or critic")
        if self.verification.judge.share:
            raise ValueError("verification.judge.share must be 0: name verifiers in rewards.weights instead")
        return self

    @model_validator(mode="after")
    def parts_are_known(self) -> Self:
        known = (self.verification.verifier, *self.verification.also, PREFERENCES)
        if unknown := sorted(set(self.rewards.weights) - set(known)):
            there = ", ".join(known)
            raise ValueError(
                f"rewards.weights names {unknown[0]!r}, not in verification.also (there: {there})"
            )
        if self.rewards.model is not None and PREFERENCES not in self.reward_weights:
            raise ValueError(f"rewards.weights must name {PREFERENCES!r} for rewards.model to count")
        return self

    @model_validator(mode="after")
    def policy_learns(self) -> Self:
        if self.has_critic and self.iterations <= self.critic.warm_up:
            raise ValueError("iterations must be more than critic.warm_up, in which the policy waits")
        return self

    @model_validator(mode="after")
    def kl_is_computed(self) -> Self:
        policy = self.training.policy
        in_loss = policy is not None and policy.kl_weight > 0
        if not self.watch_kl and (in_loss or self.kl_in_reward or self.kl_budget is not None):
            raise ValueError("watch_kl must be true: a KL term or budget needs the divergence")
        return self
