"""The decoding loop: a batch of prompts through the model's own forward, one token a sample at a time.

A small model's time goes into reading the key-value cache, so where the model allows it several samples of
a prompt share one row: the prompt's keys are read once for all of them, and each query token sees the prompt
and its own tokens only. Whether it allows it is asked of the model itself, not guessed from its name.

The last bits of a row's logits follow the batch's shape. A draw that they could decide is drawn again from
logits of its sample alone, so that the batch decides no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from transformers import DynamicCache

from schemas.recipes.shared import Sampling
from tasks.generate.embedded.cache import joined
from tasks.generate.embedded.choice import Choice
from tasks.generate.embedded.forward import Forward, left_padded, prefilled, shared_mask
from tasks.generate.embedded.stops import Stops
from tasks.generate.engine import Progress

WIDTH = 4
"""Most samples in one row: they skip each other's tokens, which above four costs more than it saves."""
DEAD_SHARE = 16
"""Rows leave the batch when one in so many is done: moving them costs less than decoding on."""
GPU_LOOK = 8
"""Steps between two looks at what is done on a GPU, where each look waits for the device. In float32 each
step waits all the same, to see what has to be drawn again.
"""


@dataclass(frozen=True)
class Decoded:
    """What a batch wrote, one column a slot (prompts x samples, in order), on the CPU.

    `tokens`, `logprobs` (at temperature 1) and `tempered` (at the one drawn by) have the shape (steps,
    slots); column i is valid to `lengths[i]`.
    `stopped[i]`: an end token was sampled (it is the last one counted).
    """

    tokens: torch.Tensor
    logprobs: torch.Tensor
    tempered: torch.Tensor
    lengths: torch.Tensor
    stopped: torch.Tensor


@dataclass
class _Rows:
    """The rows still in the batch: which slots they hold (rows, width), which are done, what they see."""

    slots: torch.Tensor
    done: torch.Tensor
    mask: torch.Tensor
    next_position: torch.Tensor

    def keep(self, order: torch.Tensor) -> None:
        self.slots, self.done = self.slots[order], self.done[order]
        self.mask, self.next_position = self.mask[order], self.next_position[order]


@torch.inference_mode()
def decode(
    forward: Forward,
    prompts: list[list[int]],
    seeds: list[int],
    sampling: Sampling,
    is_end: torch.Tensor,
    progress: Progress | None = None,
    stops: Stops | None = None,
) -> Decoded:
    """Samples `len(seeds) / len(prompts)` answers to each prompt (token ids, not empty).

    `is_end` is a table over the vocabulary, `stops` sees where an answer ends by a text. `progress` hears of
    newly finished slots.
    """
    device, steps, each = forward.device, sampling.max_tokens, len(seeds) // len(prompts)
    width = max(w for w in range(1, WIDTH + 1) if each % w == 0) if forward.shares_rows else 1
    ids, seen = left_padded(prompts, device)
    caches, logits = prefilled(forward, ids, seen)
    logits = logits.repeat_interleave(each, dim=0)
    cache = joined(caches, len(ids), each // width, ids.shape[1] + width * steps)
    rows = _start(seen.repeat_interleave(each // width, dim=0), width, steps, forward.model.dtype)
    choice = Choice(forward, prompts, seeds, sampling)
    tokens = torch.zeros(steps, len(seeds), dtype=torch.long, device=device)
    logprobs, tempered = (torch.zeros(steps, len(seeds), device=device) for _ in range(2))
    lengths = torch.full((len(seeds),), steps, device=device)
    finished, look = 0, 1 if device.type == "cpu" else GPU_LOOK
    for step in range(steps):
        slots = rows.slots.flatten()
        draw = choice.draw(logits, step, slots)
        tokens[step, slots], logprobs[step, slots] = draw.tokens, draw.logprobs
        tempered[step, slots] = draw.tempered
        for slot in slots[draw.unsure & ~rows.done.flatten()].tolist() if forward.noise else ():
            alone = choice.draw_alone(tokens[:step, slot].tolist(), slot)
            tokens[step, slot], logprobs[step, slot] = alone.tokens[0], alone.logprobs[0]
            tempered[step, slot] = alone.tempered[0]
        latest = tokens[step, slots]
        choice.take(latest, slots)
        ends = is_end[latest].view_as(rows.done)
        if stops is not None and len(going := rows.slots[~ends & ~rows.done]):
            ends[~ends & ~rows.done] = stops.completed(tokens[: step + 1], going)
        lengths[rows.slots[ends & ~rows.done]] = step + 1
        rows.done |= ends
        if step % look == 0 or step + 1 == steps:
            now = len(seeds) if step + 1 == steps else int((lengths <= step + 1).sum())
            if progress and now > finished:
                progress(now - finished)
            finished = now
            if finished == len(seeds):
                break
            latest = _drop_done(rows, cache, latest)
        visible = rows.mask[..., : ids.shape[1] + (step + 1) * width]
        here = (rows.next_position + step)[:, None].expand_as(rows.slots)
        logits = forward(latest.view_as(rows.slots), visible, here, cache, width)
    last = tokens.gather(0, (lengths - 1)[None])[0]
    return Decoded(tokens.cpu(), logprobs.cpu(), tempered.cpu(), lengths.cpu(), is_end[last].cpu())


def _start(seen: torch.Tensor, width: int, steps: int, dtype: torch.dtype) -> _Rows:
    count, device = len(seen), seen.device
    if width == 1:
        mask = torch.cat([seen, seen.new_ones(count, steps)], dim=1)
    else:
        mask = shared_mask(seen, width, steps, dtype)
    slots = torch.arange(count * width, device=device).view(count, width)
    return _Rows(slots, torch.zeros_like(slots, dtype=torch.bool), mask, seen.sum(1))


def _drop_done(rows: _Rows, cache: DynamicCache, latest: torch.Tensor) -> torch.Tensor:
    """Takes rows that are done out of the batch and the cache, once enough are.

    Returns the others' `latest` tokens. Rows from the end move into the gaps, so that little is copied.
    """
    over = rows.done.all(dim=1)
    stay = int((~over).sum())
    if (len(over) - stay) * DEAD_SHARE < len(over):
        return latest
    order = torch.arange(stay, device=over.device)
    order[over[:stay]] = torch.nonzero(~over[stay:]).flatten() + stay
    latest = latest.view_as(rows.slots)[order].flatten()
    rows.keep(order)
    cache.reorder_cache(cast(torch.LongTensor, order))
    return latest
