"""What every recipe says: typed, validated values that all of them share.

A recipe is the parameter of its flow, so Prefect's form and `prefect.yaml` show it, and its hash is
part of every unit of work. Defaults follow the papers; the tutor brings its own (`tutor/*.yaml`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from schemas.engine import EFFORT, AnyEngine, Embedded, Endpoint
from schemas.job import Chat, Hyperparameters, Positive, Share, Strict, added
from schemas.recipes.asking import Asking, NamedTemplate, Shot, Text, one_field
from schemas.recipes.chat import EndOfTurn, TemplateValues, as_json
from schemas.recipes.columns import Columns
from schemas.recipes.strictness import Strictness

MOST_SHOTS = 64
ModelFiles = Literal["copy", "reference"]
StopString = Annotated[str, Field(min_length=1, max_length=200)]


class Sampling(Strict):
    """How texts are drawn from a checkpoint. Temperature 0 is greedy; then `samples` must be 1.

    A repetition penalty comes before all else; tokens are then cut to `top_k`, to `top_p` of what is left and
    to `min_p`. Log-probabilities on record are the model's own, before any of it.
    """

    samples: Positive = Field(4, description="texts a prompt (k)")
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    max_tokens: Positive = Field(256, description="longest answer, in tokens")
    stop: Annotated[tuple[StopString, ...], Field(max_length=16)] = added(
        (), "texts that end an answer, which is cut before them; evaluation goes by them too"
    )
    top_k: Positive | None = added(None, "most likely tokens drawn from; None: all")
    min_p: Share = added(0.0, "least probability of a token drawn, as a share of the likeliest one's")
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10.0)] = added(
        1.0,
        "what the logits of tokens seen in prompt or answer are divided by (above 0) or"
        " multiplied by (below)",
    )

    @field_validator("stop", mode="before")
    @classmethod
    def one_or_several(cls, value: object) -> object:
        """A text alone is one stop string."""
        return (value,) if isinstance(value, str) else value

    def further(self, **more: object) -> str | None:
        """The sampling settings beyond temperature, top_p and max_tokens, with `more`, as canonical JSON;
        None where all have their defaults.
        """
        settings = (
            self.model_dump(mode="json", include={"stop", "top_k", "min_p", "repetition_penalty"}) | more
        )
        return (
            json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            if settings
            else None
        )

    @model_validator(mode="after")
    def greedy_draws_once(self) -> Sampling:
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("temperature 0 is greedy: it gives one text, so samples must be 1")
        return self


class Prompts(Strict):
    """Where prompts come from: the tutor's world, or a file or folder of questions or conversations."""

    path: str | None = Field(None, description="file or folder of prompts; None: the tutor's world")
    eval_path: str | None = Field(None, description="the same of held-out prompts; None: a part of `path`")
    columns: Columns | None = added(None, "what the files' columns are: question=task")
    per_round: Positive | None = Field(2000, description="training prompts a round; None: all of the file")
    eval_count: Positive = Field(600, description="held-out prompts, the same in every round")
    eval_family: Literal["held-out", "new-numbers"] = Field(
        "held-out",
        description="the tutor's held-out stories: in other words, or in those of practice; numbers are new",
    )
    difficulties: tuple[Positive, ...] = Field((1, 2, 3), description="steps a tutor story may need")
    family: Literal["practice", "varied"] = added("practice", "the tutor's stories: in few words, or in many")
    overlap: Literal["warn", "drop"] = added(
        "warn", "what becomes of a file's training prompts that are almost held-out ones"
    )
    system: Text | None = added(
        None, "a system message put before every question; a conversation with one keeps its own"
    )
    template: Annotated[Text, AfterValidator(one_field)] | None = added(
        None, "what stands around every question, with {question} (or {prompt}) in its place"
    )
    few_shots: str | Annotated[tuple[Shot, ...], Field(max_length=MOST_SHOTS)] | None = added(
        None, "file of questions with answers, shown before every question; goes on record"
    )
    few_shots_as: Literal["turns", "text"] = added(
        "turns", "turns: as earlier turns of user and assistant; text: in the question's own message"
    )

    chat_template_kwargs: TemplateValues = added(
        {}, "values for the model's chat template, such as enable_thinking: false"
    )
    end_of_turn: EndOfTurn | None = added(
        None, "the model's token that ends a turn, learned and obeyed; None: the chat template's, or its own"
    )

    @property
    def chat(self) -> Chat:
        """How the loop's model writes its turns."""
        values = as_json(self.chat_template_kwargs) if self.chat_template_kwargs else None
        return Chat(template_values=values, end_of_turn=self.end_of_turn)

    @property
    def asking(self) -> Asking:
        """What stands around a question; ValueError while the examples are still in a file."""
        if isinstance(self.few_shots, str):
            raise ValueError(f"the examples of {self.few_shots} were not read")
        shots = self.few_shots or ()
        return Asking(system=self.system, template=self.template, shots=shots, shots_as=self.few_shots_as)


class Evaluation(Strict):
    """How a checkpoint is measured on the held-out prompts: greedy for all, sampled for `sampled_count`."""

    max_tokens: Positive = 256
    samples: Positive = Field(8, description="texts a prompt for pass@k and majority vote")
    temperature: Annotated[float, Field(gt=0.0, le=5.0)] = 0.7
    sampled_count: Annotated[int, Field(ge=0)] = Field(
        200, description="held-out prompts sampled; 0: greedy only"
    )


class Gate(Strict):
    """When a challenger is promoted: a one-sided exact McNemar test on the held-out prompts."""

    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05


class Judging(Strict):
    """A model that judges answers too, for people and audits to look at: no filter goes by it."""

    share: Share = Field(0.0, description="share of the prompts whose answers it judges; 0: no judge")
    model: str | None = Field(None, description="its Hugging Face folder; None: the tutor's judge")
    endpoint: Endpoint | None = Field(None, description="it answers behind this endpoint, not from a folder")
    rubric: NamedTemplate | None = Field(None, description="its name, or a YAML file; None: the model's own")
    votes: Positive | None = Field(None, description="judgements an answer; None: the rubric's")

    @model_validator(mode="after")
    def one_judge(self) -> Judging:
        if self.model is not None and self.endpoint is not None:
            raise ValueError("a judge is a model's folder or an endpoint, not both")
        return self


class Verification(Strict):
    """Who judges answers: one verifier that filters and the gate go by, and others that they never see."""

    verifier: str = Field("maths", description="the verifier that filters, evaluation and the gate go by")
    also: tuple[str, ...] = Field((), description="verifiers that judge every answer too")
    audit: str = Field("gsm8k", description="an independent verifier of a sample, that no filter sees")
    audit_share: Share = Field(0.1, description="share of the prompts whose answers it judges")
    judge: Judging = Judging()
    strictness: Strictness = added(
        Strictness(), "what the verifiers are stricter or looser about than by their own decisions"
    )

    @model_validator(mode="after")
    def judges_differ(self) -> Verification:
        verifiers = (self.verifier, *self.also, self.audit)
        if len(set(verifiers)) < len(verifiers):
            raise ValueError("verifier, also and audit must be different verifiers")
        return self


class Recipe(Strict):
    """What every recipe says: where prompts come from, how texts are drawn, judged, learned and measured."""

    recipe: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    prompts: Prompts = Prompts()
    sampling: Sampling = Sampling()
    engine: AnyEngine = Field(Embedded(), description="what writes the answers")
    verification: Verification = Verification()
    start_from: Literal["base", "champion"] = "base"
    training: Hyperparameters = Hyperparameters()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    launcher: Literal["accelerate", "in-process"] = Field(
        "accelerate", description="train by `accelerate launch` in a process of its own, or in this one"
    )
    accelerate_config: str | None = added(
        None, "your Accelerate configuration (GPUs, FSDP) for the launcher; None: your default file"
    )
    model_files: ModelFiles = added(
        "copy", "copy base, judges and writers into the lake, or keep a reference by hash alone"
    )
    shard_size: Positive = Field(250, description="prompts in one unit of work")

    @model_validator(mode="after")
    def examples_are_not_learned(self) -> Recipe:
        if self.training.turns == "all" and self.prompts.few_shots and self.prompts.few_shots_as == "turns":
            raise ValueError(
                "training.turns must be last with prompts.few_shots as turns, which would be learned again "
                "with every answer (prompts.few_shots_as: text)"
            )
        return self

    @model_validator(mode="after")
    def template_values_are_rendered(self) -> Recipe:
        engine = self.engine
        unrendered = isinstance(engine, Endpoint) and engine.api == "completions" and not engine.tokenizer
        if unrendered and self.prompts.chat_template_kwargs:
            raise ValueError(
                "prompts.chat_template_kwargs needs engine.api chat, or engine.tokenizer with completions: "
                "nothing renders a chat template otherwise"
            )
        return self

    @model_validator(mode="after")
    def a_launcher_reads_the_configuration(self) -> Recipe:
        if self.accelerate_config is not None and self.launcher == "in-process":
            raise ValueError("accelerate_config is for launcher accelerate: in-process is one process")
        return self

    @property
    def hash(self) -> str:
        """12 hex digits over what the recipe does, part of every unit's key.

        It leaves out an endpoint's values of effort, the Accelerate configuration and where models' files are
        kept. It also leaves out an engine or a judge's endpoint at its default, so that older loops keep
        their hashes.
        """
        effort = set(EFFORT)
        left_out: dict[str, Any] = {"engine": effort, "verification": {"judge": {"endpoint": effort}}}
        values = self.model_dump(
            mode="json", exclude=left_out | {"accelerate_config": True, "model_files": True}
        )
        if self.engine == Embedded():
            del values["engine"]
        if self.verification.judge.endpoint is None:
            del values["verification"]["judge"]["endpoint"]
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def filters_by(self) -> str:
        """The verifier whose verdicts on training answers the round's filters go by."""
        return self.verification.verifier

    def with_effort_of(self, other: Recipe) -> Self:
        """This recipe with another's values of effort, which change how work is done and not its results.

        They are `EFFORT` of schemas/engine.py (an endpoint's parallel requests, retries, budget) and the
        recipe's `model_files`; where both recipes launch their trainings, also `accelerate_config`.
        """
        judge, theirs = self.verification.judge, other.verification.judge
        judge = judge.model_copy(update={"endpoint": _effort(judge.endpoint, theirs.endpoint)})
        verification = self.verification.model_copy(update={"judge": judge})
        update: dict[str, Any] = {
            "engine": _effort(self.engine, other.engine),
            "verification": verification,
            "model_files": other.model_files,
        }
        if self.launcher == other.launcher == "accelerate":
            update["accelerate_config"] = other.accelerate_config
        return self.model_copy(update=update)


E = TypeVar("E")


def _effort(engine: E, other: object) -> E:
    """An engine with the effort of another of its kind."""
    if isinstance(engine, Strict) and type(engine) is type(other):
        fields = EFFORT & type(engine).model_fields.keys()
        return engine.model_copy(update={name: getattr(other, name) for name in fields})
    return engine
