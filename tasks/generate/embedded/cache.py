"""A key-value cache that grows in place, so that a decoding step writes one token and copies nothing.

Transformers' DynamicLayer concatenates, which copies the whole cache at every step. Only plain full-attention
layers are replaced; sliding-window, linear and other layers stay the library's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DummyLayer, DynamicLayer

GROWTH = 1.5


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, shape (rows, heads, positions, head size), as views of larger buffers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None
        self._length = 0

    @classmethod
    def joined(cls, layers: Sequence[GrowingLayer], repeats: int, positions: int) -> GrowingLayer:
        """One layer of all rows of `layers` (equally long), each row `repeats` times, in order.

        It has room for `positions` at once: memory that is never written is never taken on a CPU.
        """
        whole = cls()
        keys = _filled([layer.keys for layer in layers], repeats, positions)
        values = _filled([layer.values for layer in layers], repeats, positions)
        whole.lazy_initialization(keys, values)
        whole._buffers = (keys, values)
        whole._show(layers[0]._length)
        return whole

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends along the positions; returns all keys and values so far."""
        start, end = self._length, self._length + key_states.shape[2]
        states = (key_states, value_states)
        if self._buffers is None:
            self.lazy_initialization(key_states, value_states)
            self._buffers = _pair(_room(one, len(one), end) for one in states)
        elif end > self._buffers[0].shape[2]:
            room = int(end * GROWTH)
            self._buffers = _pair(_filled([one[:, :, :start]], 1, room) for one in self._buffers)
        for buffer, one in zip(self._buffers, states, strict=True):
            buffer[:, :, start:end] = one
        return self._show(end)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keeps the rows `beam_idx` (distinct), in that order; only rows that change place are copied."""
        if self._buffers is None:
            return
        places = torch.arange(len(beam_idx), device=beam_idx.device)
        moved = places[beam_idx != places]
        for buffer in self._buffers:
            filled = buffer[:, :, : self._length]
            filled[moved] = filled[beam_idx[moved]]
        self._buffers = _pair(buffer[: len(beam_idx)] for buffer in self._buffers)
        self._show(self._length)

    def shorten(self, positions: int) -> None:
        """Keeps so many positions, from the first; what comes next takes the place of the others."""
        self._show(positions)

    def _show(self, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._buffers is not None
        self._length = end
        self.keys, self.values = _pair(buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """An empty cache of the kinds of layer that the model's configuration asks for."""
    cache = DynamicCache(config=model.config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def is_plain(cache: DynamicCache) -> bool:
    """Every layer is full attention over all positions."""
    return all(type(layer) is GrowingLayer for layer in cache.layers)


def joined(caches: Sequence[DynamicCache], rows: int, repeats: int, positions: int) -> DynamicCache:
    """One cache of the `rows` rows of all `caches` (equally long), each row `repeats` times.

    It has room for `positions`. Several caches can be joined only where they are plain.
    """
    whole = caches[0]
    for i, layer in enumerate(whole.layers):
        if isinstance(layer, GrowingLayer):
            parts = [cast(GrowingLayer, cache.layers[i]) for cache in caches]
            whole.layers[i] = GrowingLayer.joined(parts, repeats, positions)
            for cache in caches[1:]:
                cache.layers[i] = GrowingLayer()  # frees the part as soon as it is in the whole
        elif not isinstance(layer, DummyLayer):
            spread = torch.arange(rows).repeat_interleave(repeats)
            layer.reorder_cache(cast(torch.LongTensor, spread))
    return whole


def bytes_per_token(cache: DynamicCache, tokens: int) -> int:
    """Bytes one more token takes in all layers, from a cache that holds one row of `tokens` tokens."""
    tensors = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    sizes = [one.numel() * one.element_size() for one in tensors if isinstance(one, torch.Tensor)]
    return max(1, sum(sizes) // tokens)


def _room(states: torch.Tensor, rows: int, positions: int) -> torch.Tensor:
    # Odd, so that the heads do not all start at the same place of the processor's cache sets.
    return states.new_empty(rows, states.shape[1], positions | 1, states.shape[3])


def _filled(parts: Sequence[torch.Tensor | None], repeats: int, positions: int) -> torch.Tensor:
    """All rows of `parts`, each `repeats` times, at the start of a buffer with room for `positions`."""
    tensors = [part for part in parts if part is not None]
    buffer = _room(tensors[0], sum(map(len, tensors)) * repeats, positions)
    filled = buffer.view(-1, repeats, *buffer.shape[1:])[:, :, :, : tensors[0].shape[2]]
    start = 0
    for part in tensors:
        filled[start : start + len(part)] = part[:, None]
        start += len(part)
    return buffer


def _pair(tensors: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = tensors
    return keys, values


def forward_parameters(kind: type) -> set[str]:
    """The parameters of a model's forward by name, with those of base classes that it hands them on to."""
    names: set[str] = set()
    for one in (each for each in kind.__mro__ if "forward" in vars(each)):
        parameters = inspect.signature(vars(one)["forward"]).parameters.values()
        names |= {each.name for each in parameters}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return names
