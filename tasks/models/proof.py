"""What a model must be, as far as its files and its tokenizer tell, before a loop opens with it; and what a
user is to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import AutoConfig, PreTrainedTokenizerBase

from schemas.errors import ModelError
from tasks.models.checkpoint import check_folder
from tasks.models.dates import template_date, writes_date
from tasks.models.remote_code import may_run
from tasks.models.turns import turn_of
from tasks.models.whole import some

FULL = {"F32", "F64"}
NAMES = {"BF16": "bfloat16", "F16": "float16", "F8_E4M3": "float8", "F8_E5M2": "float8"}


@dataclass(frozen=True)
class Shape:
    """What a loaded model is: its class, its weights, its embedding's rows, and its context in tokens."""

    architecture: str
    parameters: int
    vocabulary: int
    context: int | None


def shape_of(model: Any) -> Shape:
    """The shape of a loaded model."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Shape(type(model).__name__, model.num_parameters(), rows, context)


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """ModelError where the tokenizer has tokens beyond the `rows` of the model's embedding."""
    beyond = sorted((token, text) for text, token in tokenizer.get_vocab().items() if token >= rows)
    if beyond:
        names = some(f"{text} ({token})" for token, text in beyond)
        raise ModelError(
            f"the tokenizer has tokens that the model has no embedding for ({rows} rows): {names}: "
            "resize the embedding, or take the tokenizer that the model was trained with"
        )


def remarks(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What is done otherwise than a user of this model may expect, a line each."""
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=may_run(folder))
    text = config.get_text_config()
    lines = [turn_of(tokenizer).remark]
    if getattr(tokenizer, "chat_template", None) is None:
        lines.append(
            "the tokenizer has no chat template: prompts are asked as 'Question: ... Answer:', and answers "
            "are taught right behind the colon: a reference without a space before it is taught without one"
        )
    if kinds := sorted({NAMES.get(kind, kind) for kind in _types(folder)} - FULL):
        lines.append(
            f"the weights are {' and '.join(kinds)}: they are trained in float32, and checkpoints are "
            "written in float32, which takes twice the bytes"
        )
    if getattr(text, "router_aux_loss_coef", 0.0):
        lines.append(
            "a mixture of experts: its balancing loss (router_aux_loss_coef) is no part of a training here"
        )
    return [line for line in lines if line]


def date_remark(folder: Path) -> str:
    """What is to be said where the folder's template writes today's date; empty where it does not."""
    files = [folder / "chat_template.jinja", folder / "tokenizer_config.json"]
    texts = (file.read_text("utf-8") for file in files if file.is_file())
    if not any(writes_date(text) for text in texts):
        return ""
    return f"the chat template writes today's date: it stays {template_date()} for the whole loop"


def _types(folder: Path) -> set[str]:
    """The types of a folder's tensors, as safetensors names them."""
    types = set()
    for file in check_folder(folder):
        with safe_open(file, framework="pt") as weights:
            types |= {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    return types
