"""What is asked of an endpoint, as JSON, and what came of it: the values that pass between the rooms."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from schemas.engine import Endpoint
from schemas.job import Chat
from schemas.recipes.shared import Sampling
from tasks.generate.engine import Sample
from tasks.models.chat import PLAIN
from tasks.models.conversation import Prompt, messages_of
from tasks.models.rendering import plain_prompt, template_messages

TEMPLATE_VALUES = "chat_template_kwargs"
"""Where vLLM, SGLang and llama.cpp take values for the chat template."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: `count` samples of the call's prompt number `place`, from sample `first` on.

    `seed` is that of sample `first`. `ids` are the prompt's tokens where they are known here.
    """

    place: int
    prompt: Prompt
    seed: int
    first: int
    count: int
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request. Fewer samples than were asked for: `error` says why, in one line.

    `tokens` and `cost` are the most that it can have taken, attempts whose answer never came included;
    `status` is the last HTTP status (None: no answer). `overflow`: the prompt does not fit the model's
    context; `passing`: another try may succeed; not `final`: it was given up with the endpoint, to be asked
    again.
    """

    ask: Ask
    samples: tuple[Sample, ...]
    error: str | None
    attempts: int
    status: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    overflow: bool = False
    passing: bool = False
    final: bool = True


@dataclass
class Dialect:
    """What the server at hand takes, as it was told or as its refusals have taught.

    `vllm`: it is a vLLM server; `together`: sample i of a request with seed s is that of seed s + i;
    `context`: its longest sequence in tokens, where it says so; `left_out`: fields it refused.
    """

    vllm: bool = False
    together: bool = False
    context: int | None = None
    left_out: set[str] = field(default_factory=set)

    DECISIVE = ("stop", "top_k", "min_p", "repetition_penalty", TEMPLATE_VALUES)
    """Fields that decide what is drawn: a server that refuses one cannot write what the recipe asks for."""

    OPTIONAL = ("return_token_ids", "logprobs", "n", "seed")
    """Fields that can be left out, where a server refuses them by name; max_tokens can be renamed."""

    def learns_from(self, refusal: str, body: dict[str, Any]) -> bool:
        """Whether a refusal (HTTP 400 or 422) names a field that can be sent otherwise; remembers it."""
        words = refusal.lower()
        if "max_completion_tokens" in words and "max_tokens" in body:
            self.left_out.add("max_tokens")
            return True
        names = [name for name in self.OPTIONAL if name in body and _names(words, name)]
        self.left_out.update(names[:1])
        return bool(names)

    def refused_value(self, refusal: str, body: dict[str, Any]) -> str | None:
        """The field of the recipe's sampling that a refusal (HTTP 400 or 422) names; None: it names none."""
        words = refusal.lower()
        return next((name for name in self.DECISIVE if name in body and _names(words, name)), None)


def body_of(
    ask: Ask, sampling: Sampling, endpoint: Endpoint, dialect: Dialect, chat: Chat = PLAIN
) -> dict[str, Any]:
    """The JSON value of a request."""
    limit = "max_completion_tokens" if "max_tokens" in dialect.left_out else "max_tokens"
    body: dict[str, Any] = {"model": endpoint.model, limit: sampling.max_tokens, "stream": False}
    body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": ask.seed}
    if endpoint.api == "chat":
        body |= {"messages": template_messages(messages_of(ask.prompt)), "logprobs": True}
        if chat.template_values:
            body[TEMPLATE_VALUES] = json.loads(chat.template_values)
    else:
        prompt = list(ask.ids) if ask.ids is not None else plain_prompt(ask.prompt)
        body |= {"prompt": prompt, "logprobs": 0}
    if ask.count > 1:
        body["n"] = ask.count
    further = {"top_k": sampling.top_k, "min_p": sampling.min_p or None, "stop": list(sampling.stop) or None}
    if sampling.repetition_penalty != 1.0:
        further["repetition_penalty"] = sampling.repetition_penalty
    body |= {name: value for name, value in further.items() if value is not None}
    if dialect.vllm:
        body["return_token_ids"] = True
        if sampling.stop:  # it looks for them in its own text, without special tokens unless told so
            body |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    return {name: value for name, value in body.items() if name not in dialect.left_out}


def _names(refusal: str, field_name: str) -> bool:
    """A refusal names a field where it quotes it, or speaks of the parameter of that name."""
    quoted = any(f"{quote}{field_name}{quote}" in refusal for quote in "'\"`")
    phrases = (f"parameter: {field_name}", f"supplied: {field_name}", f"{field_name} is not supported")
    return quoted or any(words in refusal for words in phrases)
