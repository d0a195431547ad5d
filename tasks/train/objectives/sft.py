"""Supervised fine-tuning: cross-entropy of the response's tokens, or of all that the assistant said."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import polars as pl
from transformers import PreTrainedTokenizerBase

from schemas.errors import BadInput
from tasks.models.conversation import Prompt, prompts_of
from tasks.models.earlier import earlier_turns
from tasks.models.rendering import prompt_tokens
from tasks.models.turns import answer_tokens
from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Loss, Objective
from tasks.train.objectives.responses import cross_entropies, labelled

Turns = Literal["last", "all"]


def sft(turns: Turns = "last") -> Objective:
    """The objective that learns the response, or with `turns` "all" every turn of the assistant."""
    padding = {"input_ids": 0, "labels": IGNORED}
    encode = partial(encode_sft, turns=turns)
    return Objective("sft", ("prompt", "response"), padding, encode, sft_loss)


def encode_sft(
    tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame, turns: Turns = "last"
) -> list[Encoded]:
    """Columns `prompt` (`messages`) and `response` as `input_ids` and `labels`; a unit is a token learned.

    BadInput names the example whose earlier turns cannot be learned.
    """
    prompts = prompts_of(examples, "prompt")
    prompt_ids = prompt_tokens(tokenizer, prompts)
    responses = answer_tokens(tokenizer, examples["response"].to_list())
    earlier: list[list[range]] = [[] for _ in prompts]
    if turns == "all":
        names = (f"example {number} of {len(prompts)}" for number in range(1, len(prompts) + 1))
        earlier = [_earlier(tokenizer, prompt, name) for prompt, name in zip(prompts, names, strict=True)]
    return [_encoded(*one) for one in zip(prompt_ids, responses, earlier, strict=True)]


def _earlier(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, name: str) -> list[range]:
    try:
        return earlier_turns(tokenizer, prompt)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _encoded(prompt: list[int], response: list[int], earlier: list[range]) -> Encoded:
    ids, labels = labelled(prompt, response, earlier)
    # A first token without anything before it cannot be predicted (an empty prompt without BOS).
    units = int((labels[1:] != IGNORED).sum())
    return Encoded({"input_ids": ids, "labels": labels}, len(ids), len(ids), units)


def sft_loss(model: Any, batch: Batch) -> Loss:
    """Cross-entropy of the labelled tokens, summed (nats)."""
    return Loss(cross_entropies(model, batch["input_ids"], batch["labels"], "sum"))


SFT = sft()
