"""Padding-free batches: the examples of a forward pass lie in one row, and attention keeps them apart.

Positions start anew with each example, and attention is computed within each: on a GPU in half precision by
PyTorch's variable-length kernel, else example by example. So the loss and its gradient are those of a padded
batch, and which examples meet in a step, hence the ledger, does not change. Covered: objectives whose
examples are one sequence with labels, on models whose tokens meet in causal attention alone. That is
not taken on trust: before the first step two examples go through the model alone and together, and a
model that answers differently is refused. The GPU's kernel has not been run where this was written; that
look guards it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from schemas.errors import TrainingFailed
from tasks.train.objectives.objective import IGNORED, Batch, Encoded, Objective

NAME = "ratchet_packed"
COLUMNS = {"input_ids", "labels"}
CLOSE = {"no": 1e-3}  # of the largest logit, by Accelerate's mixed precision
CLOSE_MIXED = 5e-2
SPECIAL = ("softcap", "s_aux", "position_bias")  # of some models' attention; not computed here


@dataclass(frozen=True)
class Packed:
    """Where examples lie in one row: their lengths, and the ends of them as the kernel has them (int32)."""

    lengths: tuple[int, ...]
    ends: Tensor


def pack(model: Any, examples: Sequence[Encoded], device: torch.device) -> tuple[Any, Batch]:
    """The examples as one row of shape (1, tokens), int64, and the model as a function of such a row."""
    lengths = tuple(len(example.tensors["input_ids"]) for example in examples)
    ids = torch.cat([example.tensors["input_ids"] for example in examples])
    labels = torch.cat([example.tensors["labels"] for example in examples])
    ends = torch.tensor([0, *lengths]).cumsum(0)
    labels[ends[:-1]] = IGNORED  # a first token is not predicted from the example before
    positions = torch.cat([torch.arange(length) for length in lengths])[None].to(device)
    packed = Packed(lengths, ends.to(device, torch.int32))

    def forward(**inputs: Any) -> Any:
        return model(position_ids=positions, packed=packed, **inputs)

    row = {"input_ids": ids[None].to(device, torch.long), "labels": labels[None].to(device, torch.long)}
    return forward, row


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: Packed | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each example; query (1, heads, tokens, size), result (1, tokens, heads, size).

    Rows that are not packed go to transformers' own function. ValueError for another kind of attention.
    """
    if packed is None:
        more |= {"dropout": dropout, "scaling": scaling}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    _refuse_special(packed, more)
    grouped = query.shape[1] != key.shape[1]
    if query.is_cuda and query.dtype != torch.float32 and not dropout and query.shape[-1] <= 256:
        return _by_kernel(query, key, value, packed, scaling, grouped)[None], None
    settings: dict[str, Any] = {"dropout_p": dropout, "scale": scaling, "enable_gqa": grouped}
    lengths = list(packed.lengths)
    parts = zip(*(torch.split(tensor, lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [scaled_dot_product_attention(q, k, v, is_causal=True, **settings) for q, k, v in parts]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _by_kernel(
    query: Tensor, key: Tensor, value: Tensor, packed: Packed, scaling: float | None, grouped: bool
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    ends, longest = packed.ends, max(packed.lengths)
    settings: dict[str, Any] = {"scale": scaling, "window_size": (-1, 0), "enable_gqa": grouped}  # causal
    output = varlen_attn(q, k, v, ends, ends, longest, longest, **settings)
    assert isinstance(output, Tensor)
    return output


def _refuse_special(packed: Packed, more: dict[str, Any]) -> None:
    if special := [name for name in SPECIAL if more.get(name) is not None]:
        raise ValueError(f"its attention has {special[0]}")
    window = more.get("sliding_window")
    if window and max(packed.lengths) > window:
        raise ValueError(f"its attention reaches back {window} tokens alone, and an example is longer")


def keep_apart(model: Any) -> None:
    """Give a model that was just loaded the attention that padding-free batches need."""
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)


def check_packing(
    objective: Objective, model: Any, encoded: Sequence[Encoded], accelerator: Accelerator
) -> None:
    """TrainingFailed unless objective and model compute the same from padding-free and from padded batches.

    `model` is the prepared one; every device runs the same check.
    """
    if set(objective.padding) != COLUMNS:
        raise TrainingFailed(f"packing: objective {objective.name} cannot be padding-free: leave it at none")
    # Two of the longest: what a model does with long examples alone is seen too.
    pair = sorted(encoded, key=lambda example: -example.length)[:2]
    model.eval()  # no dropout
    try:
        with torch.no_grad():
            alone, together = _alone_and_together(model, pair, accelerator.device)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingFailed(f"packing: this model cannot be padding-free: {reason}") from None
    finally:
        model.train()
    close = CLOSE.get(accelerator.mixed_precision, CLOSE_MIXED) * alone.abs().max()
    apart = (alone - together).abs().max()
    if not apart <= close:
        raise TrainingFailed(
            "packing: this model cannot be padding-free: an example changes what it says of the next "
            f"(logits by up to {float(apart):.2g}); leave it at none"
        )


def touching(model: Any, texts: Sequence[Tensor]) -> tuple[float, float]:
    """How far one text changes the next one's logits in a padding-free row, and the largest logit.

    `model` has the attention of `keep_apart`, `texts` are two rows of token ids.
    """
    columns = [{"input_ids": text, "labels": text.clone()} for text in texts]
    pair = [Encoded(tensors, len(tensors["labels"]), len(tensors["labels"]), 1) for tensors in columns]
    alone, together = _alone_and_together(model, pair, texts[0].device)
    return float((alone - together).abs().max()), float(alone.abs().max())


def _alone_and_together(model: Any, pair: Sequence[Encoded], device: torch.device) -> tuple[Tensor, Tensor]:
    """The second example's logits, alone and behind the first in one row."""
    ids = pair[-1].tensors["input_ids"][None].to(device, torch.long)
    alone: Tensor = model(input_ids=ids, use_cache=False).logits[0]
    forward, row = pack(model, pair, device)
    together: Tensor = forward(input_ids=row["input_ids"], use_cache=False).logits[0]
    return alone, together[-len(alone) :]
