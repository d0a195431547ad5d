"""Supervised fine-tuning: cross-entropy of the response's tokens."""

from __future__ import annotations

from typing import Any

import polars as pl
from transformers import PreTrainedTokenizerBase

from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Loss, Objective
from tasks.train.objectives.responses import cross_entropies, labelled, prompt_tokens, response_tokens


def encode_sft(tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame) -> list[Encoded]:
    """Columns `prompt` and `response` as `input_ids` and `labels`; one unit is one response token."""
    prompts = prompt_tokens(tokenizer, examples["prompt"].to_list())
    responses = response_tokens(tokenizer, examples["response"].to_list())
    return [_encoded(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]


def _encoded(prompt: list[int], response: list[int]) -> Encoded:
    ids, labels = labelled(prompt, response)
    # A first token without anything before it cannot be predicted (an empty prompt without BOS).
    units = len(response) - (not prompt)
    return Encoded({"input_ids": ids, "labels": labels}, len(ids), len(ids), units)


def sft_loss(model: Any, batch: Batch) -> Loss:
    """Cross-entropy of the labelled tokens, summed (nats)."""
    return Loss(cross_entropies(model, batch["input_ids"], batch["labels"], "sum"))


SFT = Objective("sft", ("prompt", "response"), {"input_ids": 0, "labels": IGNORED}, encode_sft, sft_loss)
