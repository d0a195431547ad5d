"""A fine-tuning job, whole: the same specification runs in process and under `accelerate launch`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]


V = TypeVar("V")


def added(default: V, description: str) -> V:
    """A field that the dump leaves out at its default, so that older values on record keep their hashes."""
    field: V = Field(default, description=description, exclude_if=lambda value: bool(value == default))
    return field


class Strict(BaseModel):
    """A frozen value that refuses keys it does not know, and numbers that JSON lacks (infinity, NaN)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Lora(Strict):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), trained through PEFT and merged at the end.

    With `quantize` the base is held in four bits while they train (QLoRA, Dettmers et al. 2023, arXiv
    2305.14314); they are merged into the base in its own precision.
    """

    rank: Positive = 8
    alpha: Positive = 16
    dropout: Share = 0.0
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    quantize: Literal["nf4"] | None = added(None, "hold the base in 4-bit NormalFloat")
    dora: bool = added(
        False, "train the weights' magnitudes apart from their directions (DoRA, Liu et al. 2024, 2402.09353)"
    )


class Dpo(Strict):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290); the reference is the base."""

    beta: Annotated[float, Field(gt=0)] = 0.1
    demonstration_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="what a demonstration's mean cross-entropy counts beside a pair's loss"
    )
    chosen_weight: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="what the mean cross-entropy of a pair's chosen counts beside its loss"
        " (Pang et al. 2024, arXiv 2404.19733)",
    )
    length_normalised: bool = Field(False, description="log-ratios a token rather than a response")


class Reward(Strict):
    """A preference model (Bradley and Terry 1952)."""

    labels: Literal["soft", "hard"] = Field("soft", description="hard: a label's better side is certain")
    centring: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="what the squared sum of a pair's two scores counts (Eisenstein et al. 2023, 2312.09244)",
    )


class Value(Strict):
    """A critic (Schulman et al. 2017, arXiv 1707.06347)."""

    clip: Annotated[float, Field(gt=0)] | None = Field(
        0.2, description="how far a value may move from the old one before it gains nothing; None: any"
    )


class Policy(Strict):
    """Policy gradients with a clipped ratio (Schulman et al. 2017, arXiv 1707.06347), by whatever advantages.

    The defaults are today's: all tokens of a step count alike, the upper clip is wider (DAPO, Yu et al. 2025,
    2503.14476), and there is no KL term. `normalisation` sequence is GRPO's (Shao et al. 2024, 2402.03300),
    constant Dr. GRPO's (Liu et al. 2025, 2503.20783); `ratio` sequence is GSPO's (Zheng et al. 2025,
    2507.18071).
    """

    clip_low: Share = Field(0.2, description="the ratio is held above 1 - this")
    clip_high: Weight = Field(0.28, description="the ratio is held below 1 + this")
    dual_clip: Annotated[float, Field(gt=1.0)] | None = Field(
        None, description="most that a ratio counts for a negative advantage (Ye et al. 2019, 1912.09729)"
    )
    ratio: Literal["token", "sequence"] = Field(
        "token", description="sequence: the geometric mean of an answer's ratios stands for each of them"
    )
    normalisation: Literal["token", "sequence", "constant"] = Field(
        "token",
        description="what the loss is a mean over: the step's tokens; its answers, of each the mean over its"
        " tokens; its answers, of each the sum over `constant_length`",
    )
    constant_length: Positive | None = Field(None, description="tokens that constant divides by")
    kl_weight: Weight = Field(0.0, description="what a token's KL to the reference costs, nats")
    kl_estimator: Literal["k1", "k2", "k3", "weighted"] = Field(
        "k2",
        description="of r = policy / reference: log r, (log r)^2 / 2, or 1/r - 1 + log r (Schulman 2020); the"
        " second has the gradient of the KL, the others its expectation; weighted: the third times the ratio"
        " to the sampler, which has both (DeepSeek-V3.2, 2512.02556)",
    )
    entropy_weight: Weight = Field(0.0, description="what a token's entropy gains, nats")
    imitation_weight: Weight = Field(
        0.0,
        description="what the mean cross-entropy of the answers that passed costs (VAPO, Yue et al. 2025,"
        " 2504.05118)",
    )
    proximal: Literal["behaviour", "start"] = Field(
        "behaviour",
        description="what the ratio is to: the sampler's log-probabilities, or those of the policy that the"
        " training starts from, computed here, where weights start / behaviour make up for the sampler",
    )
    truncation: Annotated[float, Field(gt=0.0)] = Field(
        2.0, description="most that such a weight counts (truncated importance sampling, Yao et al. 2025)"
    )

    @model_validator(mode="after")
    def constant_is_given(self) -> Policy:
        if self.normalisation == "constant" and self.constant_length is None:
            raise ValueError("normalisation constant needs constant_length, the tokens it divides by")
        return self


class Distil(Strict):
    """A teacher's distributions (Hinton et al. 2015, arXiv 1503.02531): T² times a divergence from them, and
    cross-entropy.

    The tail of top-k is one more outcome in both distributions. Tokens that were drawn from the teacher
    estimate the forward divergence without bias (Anshumann et al. 2025, 2503.16870).
    """

    divergence: Literal["forward", "reverse", "jensen-shannon"] = Field(
        "forward",
        description="KL of the teacher's to the student's, of the student's to the teacher's, or the"
        " generalised Jensen-Shannon divergence (Agarwal et al. 2023, 2306.13649)",
    )
    beta: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.5, description="the teacher's share of the mixture, of jensen-shannon"
    )
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = Field(
        1.0, description="T, of both distributions; the divergence counts T² times"
    )
    cross_entropy_weight: Weight = Field(0.0, description="what the text's own mean cross-entropy counts")
    support: Literal["whole", "top-k", "sampled"] = Field(
        "top-k",
        description="the whole vocabulary (the teacher is asked while the student trains), the teacher's k"
        " likeliest tokens and the mass of the others, or k tokens drawn from it",
    )
    k: Positive = Field(32, description="tokens at each place, of top-k and sampled")
    precision: Literal["float32", "float16"] = added(
        "float32",
        "of what is learned of them: float16 rounds log-probabilities to half as many bytes on record",
    )

    @model_validator(mode="after")
    def support_has_what_is_asked_of_it(self) -> Distil:
        if self.support == "sampled" and self.divergence != "forward":
            raise ValueError("support sampled estimates the forward divergence alone: take top-k or whole")
        if self.support == "whole" and self.precision == "float16":
            raise ValueError("precision float16 is for support top-k and sampled: whole is never on record")
        return self


class Hyperparameters(Strict):
    """How one job trains. Sizes are in examples, lengths in tokens, rates per optimizer step."""

    epochs: Positive = Field(3, description="passes over the snapshot")
    batch_size: Positive = Field(64, description="examples in one optimizer step, over all devices")
    micro_batch_size: Positive | None = Field(
        None, description="examples in one forward pass on one device; None: the whole share"
    )
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = Field(0.03, description="share of the steps that warm up linearly")
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_tokens: Positive = Field(1024, description="longest example; longer ones are refused")
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    lora: Lora | None = Field(None, description="None: all weights are trained")
    save_every: Positive = Field(100, description="optimizer steps between two saves to resume from")
    packing: Literal["none", "padding-free"] = added(
        "none", "padding-free: the examples of a forward pass lie in one row, kept apart"
    )
    turns: Literal["last", "all"] = added(
        "last", "of a conversation: the last answer is learned, or all that the assistant said (sft)"
    )
    optimizer: Literal["adamw", "adamw-8bit"] = added(
        "adamw", "adamw-8bit: its two moments are held in eight bits (Dettmers et al. 2021, 2110.02861)"
    )
    keep_optimizer: bool = added(False, "leave the optimizer's state for a training that goes on with it")
    dpo: Dpo | None = added(None, "settings of objective dpo; None: its defaults")
    reward: Reward | None = added(None, "settings of objective reward; None: its defaults")
    value: Value | None = added(None, "settings of objective value; None: its defaults")
    policy: Policy | None = added(None, "settings of objective policy; None: its defaults")
    distil: Distil | None = added(None, "settings of objective distil; None: its defaults")


class Chat(Strict):
    """How a model's turns are written, beside what its tokenizer says; the default is nothing else.

    `template_values` are for its chat template, as JSON; `end_of_turn` is the token that ends a
    turn.
    """

    template_values: str | None = None
    end_of_turn: str | None = None

    @property
    def label(self) -> str:
        """12 hex digits over both."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class TrainingJob(Strict):
    """Everything a training needs and nothing else: it reads one snapshot and one base checkpoint.

    `output` receives the result: a Hugging Face folder (`checkpoint/`), the step ledger
    (`steps.parquet`) and `result.json`. `snapshot` and `base` are folders, `accelerate_config` is a file
    of `accelerate config`; without one a launched job goes by the user's default file. `optimizer_state` is
    the file that training `optimizer_from` left (keep_optimizer), `optimizer_hash` its SHA-256; `teacher` the
    folder of checkpoint `teacher_id`, which it asks. In a job's file relative paths begin where it lies.
    """

    training_id: str
    objective: str = "sft"
    snapshot_id: str
    snapshot: str
    base_checkpoint: str
    base: str
    output: str
    seed: Annotated[int, Field(ge=0)] = 0
    hyperparameters: Hyperparameters = Hyperparameters()
    chat: Chat = added(Chat(), "how the model's turns are written")
    accelerate_config: str | None = None
    optimizer_from: str | None = added(None, "the training whose optimizer this one goes on with")
    optimizer_state: str | None = added(None, "the file with its state")
    optimizer_hash: str | None = added(None, "that file's SHA-256")
    teacher_id: str | None = added(None, "the teacher that is asked while it trains")
    teacher: str | None = added(None, "the folder with its weights")
