"""A causal language model as the decoding loop needs it: its forward, and what must be known of it.

Whether samples may share a row, and how far a batch's logits are from those of a row alone, is asked of the
model itself, not guessed from its name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import DynamicCache

from schemas.errors import ModelError, first_line
from tasks.generate.embedded.cache import (
    GrowingLayer,
    bytes_per_token,
    forward_parameters,
    is_plain,
    new_cache,
)

PREFILL_TOKENS_CPU, PREFILL_TOKENS_GPU = 2_048, 65_536
"""Prompt tokens (padding counted) in one prefill: on a CPU more of them fall out of its caches."""
LEAST_NOISE, NOISE_FACTOR = 4e-5, 3.0
"""How far a batch's float32 logits are taken to be from those of a row alone: so many times the most seen in
one small batch when the model is loaded, and never less than that.
"""
SIXTEEN_BITS = 2.0**-5
"""What two ways to compute a number in bfloat16 may differ by, of its size: some steps of its 8 bits."""
PROBED = (3, 11, 17, 29)
"""Tokens of the prompts in that batch."""
RUNNING = "cache_params"
"""How models with a running state and no attention (Mamba) are given it."""
CACHES = ("past_key_values", RUNNING)


@dataclass(frozen=True)
class Begun:
    """What a prompt alone leaves: its tokens' cache, and the logits after it, shape (1, vocabulary)."""

    ids: tuple[int, ...]
    cache: DynamicCache
    logits: torch.Tensor


class Forward:
    """A causal language model with what the loop must know of it.

    `noise`: how far its logits may be from those of a row alone, 0 for types whose noise decides too much
    to be drawn again; `token_bytes`: bytes of cache one token takes; `plain`: all layers attend to all
    positions, so prefills can be joined; `shares_rows`: samples may share a row.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = self.model.device
        self.vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        accepted = forward_parameters(type(model))
        self._accepts = frozenset({"position_ids", "logits_to_keep"} & accepted)
        self._cache = next((name for name in CACHES if name in accepted), None)
        try:
            self.token_bytes, self.plain, self.shares_rows = self._probe()
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            why = first_line(error)
            raise ModelError(f"{_kind(model)} cannot be drawn from here: {why}") from None
        self.noise = 0.0
        if self.model.dtype == torch.float32:
            self.noise = max(LEAST_NOISE, NOISE_FACTOR * self._seen_noise())

    def __call__(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache, keep: int
    ) -> torch.Tensor:
        """Float32 logits of the last `keep` positions of each row, shape (rows * keep, vocabulary)."""
        extra: dict[str, Any] = {"position_ids": positions, "logits_to_keep": keep}
        accepted = {name: value for name, value in extra.items() if name in self._accepts}
        if self._cache is None:
            raise ModelError(
                f"{_kind(self.model)} cannot be drawn from here: its state has a form of its own"
            )
        if self._cache == RUNNING:  # past tokens are in the state: a mask of them would be taken for new ones
            mask = mask[:, -ids.shape[1] :]
        accepted[self._cache] = cache
        outputs = self.model(input_ids=ids, attention_mask=mask, use_cache=True, **accepted)
        logits: torch.Tensor = outputs.logits[:, -keep:].flatten(0, 1).float()
        return logits

    def alone(self, ids: Sequence[int]) -> torch.Tensor:
        """Logits after one text that nothing is beside and no padding before, shape (1, vocabulary)."""
        return self._text(ids, 0, new_cache(self.model))

    @torch.inference_mode()
    def after(
        self, ids: Sequence[int], tokens: Sequence[int], begun: Begun | None
    ) -> tuple[Begun, torch.Tensor]:
        """Logits after a prompt and some tokens of an answer, shape (1, vocabulary), and what the prompt
        leaves: given back with the same prompt it is not computed again, and the result is the same bits.
        """
        if begun is None or begun.ids != tuple(ids):
            cache = new_cache(self.model)
            begun = Begun(tuple(ids), cache, self._text(ids, 0, cache))
        if not tokens:
            return begun, begun.logits
        if not self.plain:
            return begun, self.alone([*ids, *tokens])
        for layer in begun.cache.layers:  # before, not after: what a pass that failed left there goes too
            cast(GrowingLayer, layer).shorten(len(ids))
        return begun, self._text(tokens, len(ids), begun.cache)

    def _text(self, ids: Sequence[int], before: int, cache: DynamicCache) -> torch.Tensor:
        """Logits after one row's next tokens, where so many stand before them."""
        text = torch.tensor([ids], device=self.device)
        positions = torch.arange(before, before + len(ids), device=self.device)[None]
        seen = torch.ones(1, before + len(ids), dtype=torch.long, device=self.device)
        return self(text, seen, positions, cache, 1)

    @torch.inference_mode()
    def _probe(self) -> tuple[int, bool, bool]:
        prompt = torch.arange(4, device=self.device)[None] % self.vocabulary
        cache = new_cache(self.model)
        self(prompt, torch.ones_like(prompt), prompt, cache, 1)
        shares = self._may_share(cache) and self._agrees_when_shared(prompt)
        return bytes_per_token(cache, 4), is_plain(cache), shares

    @torch.inference_mode()
    def _seen_noise(self) -> float:
        """The most that logits of a padded batch differ from those of its rows alone."""
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or PROBED[-1]
        prompts = [[7 * i % self.vocabulary for i in range(n)] for n in PROBED if n <= context]
        _, batched = prefilled(self, *left_padded(prompts, self.device))
        apart = [(self.alone(ids)[0] - row).abs() for ids, row in zip(prompts, batched, strict=True)]
        most = float(torch.stack(apart).nan_to_num(0.0).max())
        return most if math.isfinite(most) else 0.0

    def _may_share(self, cache: DynamicCache) -> bool:
        """Full attention with as many key as query heads, on a CPU: else sharing a row saves nothing.

        Grouped heads would be copied out for several queries at once, which costs more than it saves. An
        attention that is not PyTorch's own may mask by places in the row too, as GPT-Neo's local layers do,
        and samples that share a row do not stand where they stand alone.
        """
        if self.device.type != "cpu" or not is_plain(cache):
            return False
        if getattr(self.model.config, "_attn_implementation", None) != "sdpa":
            return False
        heads = getattr(self.model.config.get_text_config(), "num_attention_heads", None)
        return {keys.shape[1] for keys, _, _ in cache} == {heads}

    def _agrees_when_shared(self, prompt: torch.Tensor) -> bool:
        """Two samples in one row get the logits they get in rows of their own."""
        close = 1e-3 if self.model.dtype == torch.float32 else SIXTEEN_BITS
        tails = torch.tensor([[3, 1], [2, 3]], device=self.device) % self.vocabulary
        both, ones = prompt.expand(2, -1), torch.ones(2, 6, dtype=torch.long, device=self.device)
        apart, together = new_cache(self.model), new_cache(self.model)
        self(both, ones[:, :4], both, apart, 1)
        self(prompt, ones[:1, :4], prompt, together, 1)
        mask = shared_mask(ones[:1, :4], 2, 2, self.model.dtype)
        for t in range(2):
            here = torch.full((2, 1), 4 + t, device=self.device)
            want = self(tails[:, t : t + 1], ones[:, : 5 + t], here, apart, 1)
            try:
                got = self(tails[None, :, t], mask[..., : 6 + 2 * t], here.T, together, 2)
            except (RuntimeError, ValueError, IndexError):  # a model that takes no mask of four dimensions
                return False
            if not torch.allclose(want, got, atol=close, rtol=close):
                return False
        return True


def prefilled(
    forward: Forward, ids: torch.Tensor, seen: torch.Tensor
) -> tuple[list[DynamicCache], torch.Tensor]:
    """The prompts' caches, some prompts each, and the logits after each prompt, (prompts, vocabulary)."""
    most = PREFILL_TOKENS_CPU if ids.device.type == "cpu" else PREFILL_TOKENS_GPU
    some = max(1, most // ids.shape[1]) if forward.plain else len(ids)
    positions = (seen.cumsum(1) - 1).clamp_(min=0)
    caches, logits = [], []
    for part in (slice(start, start + some) for start in range(0, len(ids), some)):
        caches.append(new_cache(forward.model))
        logits.append(forward(ids[part], seen[part], positions[part], caches[-1], 1))
    return caches, torch.cat(logits)


def left_padded(prompts: list[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and a mask of ones where a token is, both (prompts, longest).

    A place of padding repeats the prompt's own first token; the mask hides it, so any token would do.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([prompt[:1] * (longest - len(prompt)) + prompt for prompt in prompts])
    starts = torch.tensor([longest - len(prompt) for prompt in prompts])
    seen = (torch.arange(longest) >= starts[:, None]).long()
    return ids.to(device), seen.to(device)


def shared_mask(seen: torch.Tensor, width: int, steps: int, dtype: torch.dtype) -> torch.Tensor:
    """What `width` samples in one row see, to be added to scores: (rows, 1, width, prompt + width * steps).

    After the prompt the keys stand step by step, each step's in the order of the samples.
    """
    prompt = seen.bool()[:, None, None, :].expand(-1, 1, width, -1)
    own = torch.eye(width, dtype=torch.bool, device=seen.device).repeat(1, steps)
    visible = torch.cat([prompt, own[None, None].expand(len(seen), 1, -1, -1)], dim=3)
    return torch.zeros(visible.shape, dtype=dtype, device=seen.device).masked_fill_(~visible, -torch.inf)


def _kind(model: Any) -> str:
    return f"a model of kind {getattr(model.config, 'model_type', type(model).__name__)}"
