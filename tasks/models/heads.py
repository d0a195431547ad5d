"""Models that say numbers instead of tokens: a base with one number a text, or one number a token.

Both are standard Hugging Face folders (AutoModelForSequenceClassification and AutoModelForTokenClassification
with one label). A base that has no such head yet gets one drawn by a seed. Loaded here, either model gives a
number for every position, and which position counts is decided by who asks: transformers' own pooling takes
the last token that is not padding for the end of a text, which is wrong where a model pads with its end.
"""

from __future__ import annotations

from pathlib import Path
from types import MethodType
from typing import Any, Literal

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.modeling_outputs import TokenClassifierOutput

from schemas.errors import ModelError
from tasks.models.checkpoint import check_folder, load_tokenizer, read_model
from tasks.models.whole import check_filled
from warehouse.models.tensors import tensor_shapes

Head = Literal["lm", "sequence", "token"]
"""What a model says: the next token, one number a text, or one number a token."""

ARCHITECTURES = {"sequence": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification}
_NAMES = ("score", "classifier")
"""What transformers' architectures call the layer."""
CLOSE = 1e-3
"""How far a number read here may be from transformers' own, of the largest."""


def load_scalar(folder: Path, head: Head, seed: int | None = None) -> PreTrainedModel:
    """The folder's model with a scalar head, in float32 and evaluation mode, on the CPU: called with
    `input_ids` (rows, length), padded on the right, its `logits` are numbers of shape (rows, length).

    Where the folder has no head it is drawn from N(0, 1 / (hidden size + 1)) by `seed`, its bias is 0 (Huang
    et al. 2024, arXiv 2403.17031); without a seed that is a ModelError, as is an architecture without such a
    form.
    """
    model, info = read_model(ARCHITECTURES[head], folder, num_labels=1)
    name = head_name(model, folder)
    missing = {str(key) for key in info.get("missing_keys", ()) if str(key).startswith(f"{name}.")}
    if missing and seed is None:
        raise ModelError(_headless(folder, head))
    unused = set(info.get("unexpected_keys", ()))
    spoken = {key for key in unused if key.startswith(_speaking(model))} if unused else set()
    rest = {"missing_keys": set(info.get("missing_keys", ())) - missing, "unexpected_keys": unused - spoken}
    check_filled(folder, dict(info) | rest)
    if missing:
        _draw(model.get_submodule(name), {key.removeprefix(f"{name}.") for key in missing}, seed or 0)
    model.train(False)
    _check_plain(model, folder, head)
    model.forward = MethodType(_numbers, model)
    config = model.config.get_text_config()
    if config.pad_token_id is None:
        config.pad_token_id = load_tokenizer(folder).pad_token_id
    return model


_WHAT = {"sequence": "scores of texts (objective reward)", "token": "values of tokens (objective value)"}


def check_scorer(folder: Path) -> None:
    """ModelError unless a folder is safe to load and holds a head that gives a text one number, as far as its
    files' headers tell; no tensor is read.
    """
    shapes = tensor_shapes(check_folder(folder))
    if not any(shapes.get(f"{name}.weight", ())[:1] == (1,) for name in _NAMES):
        raise ModelError(_headless(folder, "sequence"))


def _headless(folder: Path, head: Head) -> str:
    return f"{folder} has no head that gives a number: it is no model trained for {_WHAT[head]}"


def head_name(model: Any, folder: Path) -> str:
    """The name of a model's head, one linear layer; ModelError where it has none."""
    for name in _NAMES:
        layer = getattr(model, name, None)
        if isinstance(layer, torch.nn.Linear) and layer.out_features == 1:
            return name
    raise ModelError(
        f"{folder}: {type(model).__name__} has no linear layer {' or '.join(_NAMES)} of one number"
    )


def _numbers(self: Any, input_ids: torch.Tensor, **ignored: Any) -> TokenClassifierOutput:
    """Every position's number: what the head says of the hidden state there. Causal attention keeps padding
    on the right out of all positions before it.
    """
    hidden = self.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
    layer = next(getattr(self, name) for name in _NAMES if hasattr(self, name))
    return TokenClassifierOutput(logits=layer(hidden).squeeze(-1))


def _draw(layer: torch.nn.Module, names: set[str], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name in names and name == "bias":
                parameter.zero_()
            elif name in names:
                spread = (parameter.shape[-1] + 1) ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)


def _speaking(model: Any) -> tuple[str, ...]:
    """Where the weights lie by which a language model of this configuration says tokens."""
    with torch.device("meta"):
        build: Any = AutoModelForCausalLM.from_config
        speaker = build(model.config)
    output = speaker.get_output_embeddings()
    return tuple(f"{name}." for name, module in speaker.named_modules() if module is output and name)


def _check_plain(model: Any, folder: Path, head: Head) -> None:
    """ModelError unless transformers, given this folder, would read the same numbers from one text."""
    rows, pad = model.get_input_embeddings().weight.shape[0], model.config.get_text_config().pad_token_id
    ids = torch.tensor([[one for one in range(min(12, rows)) if one != pad]])
    with torch.no_grad():
        theirs = model(input_ids=ids).logits.flatten()
        numbers: Any = _numbers(model, ids).logits
    ours = numbers[0]
    ours = ours[-1:] if head == "sequence" else ours
    if ours.shape != theirs.shape or not (ours - theirs).abs().max() <= CLOSE * theirs.abs().max().clamp(
        min=1.0
    ):
        raise ModelError(
            f"{folder}: {type(model).__name__} does not read its number off the last layer by a linear head "
            "alone: such a model is not trained here"
        )
