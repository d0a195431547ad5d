"""A model is proved before a loop opens with it: that it is whole, draws its own answers, and learns what it
is asked. What fails is one line; what a user is to know of it is a remark.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError
from schemas.job import Chat
from schemas.recipes.shared import Recipe
from tasks.generate.embedded.embedded import embedded_engine
from tasks.generate.embedded.proof import Drawing
from tasks.models.chat import PLAIN, unread
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.conversation import Conversation, Prompt, plain_text
from tasks.models.dates import DATE
from tasks.models.ends import end_ids
from tasks.models.proof import check_vocabulary, date_remark, remarks, shape_of
from tasks.models.rendering import prompt_ids
from tasks.models.turns import turn_of
from tasks.train.objectives.objective import IGNORED
from tasks.train.objectives.sft import SFT
from warehouse.models.described import files_hash

QUESTION, ANSWER = "What is 6 times 7?", "6 times 7 is 42."


@dataclass(frozen=True)
class Token:
    """One token of an example as a training sees it; `taught` where it carries loss."""

    id: int
    text: str
    taught: bool


@dataclass(frozen=True)
class Proof:
    """What was found of a model. `drawing` is None where its answers are drawn by another program."""

    model: Path
    weights_hash: str
    files_hash: str
    architecture: str
    parameters: int
    context: int | None
    end_of_turn: str
    end_id: int
    drawing: Drawing | None
    remarks: tuple[str, ...]


_PROVED: dict[tuple[Any, ...], Proof] = {}


def prove(model: Path, *, drawing: bool = True, chat: Chat = PLAIN, dtype: str = "float32") -> Proof:
    """Prove the model in a folder, whose turns are written as `chat` says, once for each content in this
    process; ModelError of one line.

    Without `drawing` the embedded engine is not asked: another program runs the model. What it draws is
    proved in float32, and held to plain passes in another `dtype` too.
    """
    weights, files = weights_hash(model), files_hash(model)
    key = (model.resolve(), weights, files, drawing, os.environ.get(DATE), chat, dtype)
    if key not in _PROVED:
        try:
            _PROVED[key] = _proved(model, weights, files, drawing, chat, dtype)
        except ModelError as error:
            raise ModelError(str(error) if str(model) in str(error) else f"{model}: {error}") from None
    return _PROVED[key]


def example_tokens(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, response: str) -> list[Token]:
    """An example token by token, as supervised fine-tuning sees it."""
    messages = prompt.json if isinstance(prompt, Conversation) else None
    row = {"prompt": plain_text(prompt), "messages": messages, "response": response}
    (example,) = SFT.encode(tokenizer, pl.DataFrame([row], schema=dict.fromkeys(row, pl.String)))
    columns = (example.tensors[name].tolist() for name in ("input_ids", "labels"))
    decode: Any = tokenizer.decode
    return [Token(id_, decode([id_]), label != IGNORED) for id_, label in zip(*columns, strict=True)]


def recipe_remarks(recipe: Recipe) -> list[str]:
    """What a user is to know of a recipe's lengths, a line each."""
    longest, room = recipe.sampling.max_tokens, recipe.training.max_tokens
    if longest < room:
        return []
    return [
        f"answers may have {longest:,} tokens (sampling.max_tokens), and a training takes examples of up to "
        f"{room:,} with their prompts (training.max_tokens): longer ones are left out"
    ]


def _proved(model: Path, weights: str, files: str, drawing: bool, chat: Chat, dtype: str) -> Proof:
    tokenizer = load_tokenizer(model, chat)
    turn, ends, result = turn_of(tokenizer), set(end_ids(model, chat)), None
    loaded: Any = embedded_engine(model, chat) if drawing else load_model(model)
    shape = loaded.shape if drawing else shape_of(loaded)
    check_vocabulary(tokenizer, shape.vocabulary)
    _check_prompts(tokenizer)
    if drawing:
        ends, result = set(loaded.end_ids), loaded.prove()
    if turn.end not in ends:
        raise ModelError(
            f"its answers are taught to end with token {turn.end}, which does not end generation"
        )
    lines = [*remarks(model, tokenizer), date_remark(model), *_unprobed(result), *_unread(model, chat)]
    if drawing and dtype != "float32":
        deviation = embedded_engine(model, chat, dtype).prove().deviation
        lines.append(
            f"answers are drawn in {dtype}: log-probabilities are its own (up to {deviation:.1g} nats from "
            "plain passes in it), and an answer may depend on the prompts that are drawn beside it"
        )
    return Proof(
        model,
        weights,
        files,
        shape.architecture,
        shape.parameters,
        shape.context,
        str(tokenizer.convert_ids_to_tokens(turn.end)),
        turn.end,
        result,
        tuple(line for line in lines if line),
    )


def _check_prompts(tokenizer: PreTrainedTokenizerBase) -> None:
    """ModelError where a training would see another prompt than generation asks."""
    ids = prompt_ids(tokenizer, QUESTION)
    example = example_tokens(tokenizer, QUESTION, ANSWER)
    if [token.id for token in example[: len(ids)]] != ids or any(t.taught for t in example[: len(ids)]):
        raise ModelError("a training would see another prompt than generation asks")
    if not all(token.taught for token in example[len(ids) :]):
        raise ModelError("a training would not learn the whole answer")


def _unread(model: Path, chat: Chat) -> Sequence[str]:
    """That template values change nothing, where the template reads none of that name."""
    names = unread(load_tokenizer(model).chat_template, chat) if chat.template_values else []
    return (
        [f"prompts.chat_template_kwargs: the chat template never reads {', '.join(names)}"] if names else []
    )


def _unprobed(drawing: Drawing | None) -> Sequence[str]:
    if drawing is None or not drawing.unprobed:
        return []
    widths = " and ".join(f"{width:,}" for width in drawing.unprobed)
    return [f"its attention has a window of {widths} tokens, which is too wide to be probed here"]
