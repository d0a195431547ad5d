"""Training objectives: what a row of a snapshot becomes, and the pure function from batch to loss.

An objective is a value; the loop knows nothing else about it. `encode` turns whole columns into one
`Encoded` per example; `loss` takes a model and a padded batch of them and returns a *sum* over its
units (tokens, pairs, steps of reasoning: whatever the objective averages over). The loop divides by
the units of the whole optimizer step, so neither micro-batches nor devices change the loss.

How the others fit without a change to the loop:

- DPO: four token columns (chosen and rejected, ids and labels), one unit a pair. The reference's
  log-probabilities are numbers of the row, computed once from the frozen base when encoding.
- Reward (Bradley-Terry): the same pairs; the model has a scalar head, its loss reads two scores.
- Distillation: the teacher's log-probabilities are one more column, as long as the response.
- Process labels: a label at each step's last token and `IGNORED` elsewhere, one unit a step.
- PPO: old log-probabilities, advantages and returns are columns of a snapshot of rollouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from schemas.errors import BadInput, ModelError
from tasks.checkpoint import prompt_text, templated

IGNORED = -100  # the label of a position that carries no loss, as in transformers and TRL

Batch = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example, ready to be batched.

    `tensors`: one-dimensional, by column. `length`: tokens of its longest sequence. `tokens`: tokens
    of all its sequences. `units`: what its loss is a sum over.
    """

    tensors: dict[str, Tensor]
    length: int
    tokens: int
    units: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A batch's loss, summed over its units (scalar, differentiable), and sums worth recording."""

    total: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """What to train for. `columns` are needed of a snapshot besides `example_id`.

    `padding` gives each tensor of `Encoded` the value that fills it up to the batch's longest.
    """

    name: str
    columns: tuple[str, ...]
    padding: Mapping[str, int]
    encode: Callable[[PreTrainedTokenizerBase, pl.DataFrame], list[Encoded]]
    loss: Callable[[Any, Batch], Loss]


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an answer: what the chat template puts right after one, else end-of-sequence.

    ModelError where the template has no room for an answer.
    """
    end: Any = tokenizer.eos_token_id
    if getattr(tokenizer, "chat_template", None) is None:
        return int(end)
    answer = "ANSWER"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    text = templated(tokenizer, turns)
    if answer not in text:
        raise ModelError("the chat template leaves out what a message by assistant says")
    after = tokenizer(text.rpartition(answer)[2], add_special_tokens=False)["input_ids"]
    ends = {int(end), *tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return next((token for token in after if token in ends), int(end))


def encode_sft(tokenizer: PreTrainedTokenizerBase, examples: pl.DataFrame) -> list[Encoded]:
    """Columns `prompt` and `response` as `input_ids` and `labels`; labels are on the response only.

    The prompt's tokens are those of `tasks.checkpoint.prompt_ids`; the response is encoded apart from
    it, as generation wrote it, and closed by `end_of_turn`. One unit is one response token.
    """
    plain = getattr(tokenizer, "chat_template", None) is None
    texts = [prompt_text(tokenizer, prompt) for prompt in examples["prompt"].to_list()]
    prompts = tokenizer(texts, add_special_tokens=plain)["input_ids"]
    responses = tokenizer(examples["response"].to_list(), add_special_tokens=False)["input_ids"]
    end = end_of_turn(tokenizer)
    return [_sft(prompt, [*response, end]) for prompt, response in zip(prompts, responses, strict=True)]


def _sft(prompt: list[int], response: list[int]) -> Encoded:
    length = len(prompt) + len(response)
    tensors = {
        "input_ids": torch.tensor(prompt + response, dtype=torch.int32),
        "labels": torch.tensor([IGNORED] * len(prompt) + response, dtype=torch.int32),
    }
    # A first token without anything before it cannot be predicted (an empty prompt without BOS).
    return Encoded(tensors, length, length, len(response) - (not prompt))


def sft_loss(model: Any, batch: Batch) -> Loss:
    """Cross-entropy of the labelled tokens, summed (nats).

    Padding is on the right, where causal attention keeps it out of every labelled position: without
    an attention mask the model takes its fast causal path.
    """
    logits = model(input_ids=batch["input_ids"], use_cache=False).logits
    # Labels move one to the left (position t predicts t + 1), rather than copying the logits.
    labels = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED)
    total = cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return Loss(total)


SFT = Objective("sft", ("prompt", "response"), {"input_ids": 0, "labels": IGNORED}, encode_sft, sft_loss)

OBJECTIVES = {SFT.name: SFT}


def get_objective(name: str) -> Objective:
    """The objective of that name; BadInput names those there are."""
    if name not in OBJECTIVES:
        raise BadInput(f"no training objective is called {name!r}; there are: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
