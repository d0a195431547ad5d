"""Who writes a round's texts: the checkpoints' own weights in process, or a model behind an endpoint.

Values of effort (`EFFORT`: parallel requests, retries, budget) change no text. They are no part of a recipe's
hash and may change while a round is open.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.job import Positive, Strict, added

Money = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]

EFFORT = frozenset(
    {
        "key_variable",
        "in_flight",
        "timeout",
        "retries",
        "budget",
        "start_seconds",
        "restarts",
        "keep_in_training",
    }
)
"""Fields of an engine that change how it is asked, never what it writes."""


class Embedded(Strict):
    """A checkpoint's weights, loaded by transformers in this process."""

    kind: Literal["embedded"] = "embedded"
    dtype: Literal["float32", "bfloat16"] = added(
        "float32", "what it computes in; in bfloat16 answers may depend on what is drawn beside them"
    )


class Budget(Strict):
    """What a loop may spend behind one endpoint, over all its rounds. Money is in whatever prices are in."""

    tokens: Positive | None = Field(None, description="tokens read and written; None: no limit")
    money: Money | None = Field(None, description="None: no limit")
    input_price: Money = Field(0.0, description="money for a million tokens read")
    output_price: Money = Field(0.0, description="money for a million tokens written")

    @model_validator(mode="after")
    def money_needs_prices(self) -> Budget:
        if self.money is not None and self.input_price == self.output_price == 0:
            raise ValueError("a budget of money needs input_price or output_price")
        return self

    def cost(self, read: int, written: int) -> float:
        """Money for tokens read and written."""
        return (read * self.input_price + written * self.output_price) / 1e6


class Endpoint(Strict):
    """A model behind an OpenAI-compatible endpoint. The key comes from the environment, never from here."""

    kind: Literal["endpoint"] = "endpoint"
    url: str = Field(description="base of the API, such as http://localhost:8000/v1")
    model: Annotated[str, Field(min_length=1)] = Field(description="the model's name there")
    api: Literal["chat", "completions"] = "chat"
    tokenizer: str | None = Field(
        None,
        description="model folder whose tokenizer turns prompts into token ids here (completions only); "
        "None: the server does",
    )
    together: bool | None = Field(
        None,
        description="all samples of a prompt in one request; None: where sample i then has seed + i (vLLM)",
    )
    key_variable: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = Field(
        None,
        description="environment variable that holds the key; None: RATCHET_API_KEY, or for api.openai.com "
        "and this machine OPENAI_API_KEY",
    )
    in_flight: Annotated[int, Field(ge=1, le=1024)] = Field(32, description="most requests at a time")
    timeout: Seconds = Field(600.0, description="seconds for one attempt")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(6, description="attempts after the first")
    budget: Budget = Budget()

    @field_validator("url")
    @classmethod
    def plain_url(cls, url: str) -> str:
        """The base with /v1 where it has no path; nothing that could hold a secret or mean two things."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("it is no URL") from None
        if "@" in parts.netloc:
            raise ValueError("a URL holds no name and no password: the key comes from RATCHET_API_KEY")
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise ValueError("a URL such as http://localhost:8000/v1 is needed")
        if parts.query or parts.fragment or not url.isprintable() or " " in url.strip():
            raise ValueError("a base URL has no query, no fragment and no spaces")
        return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/') or '/v1'}"

    @model_validator(mode="after")
    def ids_are_completed(self) -> Endpoint:
        if self.tokenizer is not None and self.api != "completions":
            raise ValueError("token ids are put to the completions API: set api=completions, or no tokenizer")
        return self


class Vllm(Strict):
    """A vLLM server that the run starts on its own checkpoints, in an environment of its own."""

    kind: Literal["vllm"] = "vllm"
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="program and first words that start vLLM's API server; None: that of `make vllm`",
    )
    arguments: tuple[str, ...] = Field((), description="further flags, such as --tensor-parallel-size 2")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        None, description="None: float32 on a CPU, on a GPU what vLLM takes the checkpoint for"
    )
    max_model_len: Positive | None = Field(
        None, description="longest sequence in tokens; None: the checkpoint's"
    )
    in_flight: Annotated[int, Field(ge=1, le=1024)] = Field(256, description="most requests at a time")
    timeout: Seconds = Field(3600.0, description="seconds for one request")
    start_seconds: Seconds = Field(900.0, description="seconds until a server is healthy")
    restarts: Annotated[int, Field(ge=0, le=20)] = Field(
        2, description="new servers for a shard in which one died"
    )
    keep_in_training: bool | None = Field(
        None, description="keep the server while a job trains; None: where there is no GPU that it would fill"
    )


def _of_a_kind(value: object) -> object:
    """Values without a kind are those of the embedded engine."""
    return {"kind": "embedded", **value} if isinstance(value, dict) and "kind" not in value else value


AnyEngine = Annotated[
    Annotated[Embedded | Endpoint | Vllm, Field(discriminator="kind")], BeforeValidator(_of_a_kind)
]
