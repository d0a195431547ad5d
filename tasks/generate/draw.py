"""Drawing tokens: one uniform number a (seed, step), so that a sample never depends on its batch.

The numbers come from SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators") read as a counter: no state, any step at any time, the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

GOLDEN = 0x9E3779B97F4A7C15
UNIFORM_BITS = 23
"""With 23 bits, u times a float32 total always rounds below the total, so the draw stays inside."""
NUCLEUS_FIRST = 64
"""Most nuclei are smaller than this, and the largest few are found faster than a full order."""


def uniforms(seeds: Sequence[int], steps: int) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1), shape (steps, seeds): entry (t, i) depends on `seeds[i]` modulo 2^64 and t only."""
    start = _mix(np.array([seed % 2**64 for seed in seeds], dtype=np.uint64))
    counters = np.arange(1, steps + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    bits = _mix(start[None, :] + counters[:, None]) >> np.uint64(64 - UNIFORM_BITS)
    return bits.astype(np.float32) * np.float32(2.0**-UNIFORM_BITS)


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and their log-probabilities at temperature 1 (both shape (rows,)) from float32 logits.

    Temperature 0 takes the likeliest token (the first of equals). Otherwise the token is where `uniform`
    (shape (rows,)) falls in the cumulative tempered distribution, cut to its nucleus (Holtzman et al. 2020,
    arXiv 1904.09751) where top_p is below 1. A row that is not finite gets a log-probability of NaN.
    """
    total = torch.logsumexp(logits, dim=-1)
    if temperature == 0.0:
        tokens = logits.argmax(dim=-1)
    else:
        tokens = _inverse_cdf(_weights(logits, temperature, top_p), uniform)
    return tokens, logits.gather(1, tokens[:, None])[:, 0] - total


def _weights(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The tempered probabilities, zero outside the nucleus; rows need not sum to one."""
    probabilities = torch.softmax(logits / temperature, dim=-1)
    if top_p < 1.0:
        least = _nucleus_threshold(probabilities, top_p)
        probabilities.masked_fill_(probabilities < least[:, None], 0.0)
    return probabilities


def _inverse_cdf(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    cumulative = weights.cumsum(dim=-1)
    target = uniform[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, target, right=True)[:, 0]
    return tokens.clamp_(max=weights.shape[1] - 1)  # only rows of NaN reach the clamp


def _nucleus_threshold(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """The least probability in each row's nucleus: the fewest likeliest tokens that reach top_p.

    Tokens as likely as the least one are all kept, so the cut does not depend on how equals are ordered.
    """
    first = min(NUCLEUS_FIRST, probabilities.shape[1])
    likeliest = probabilities.topk(first, dim=-1).values
    least = _least_kept(likeliest, top_p)
    wide = likeliest.sum(dim=-1) < top_p
    if first < probabilities.shape[1] and bool(wide.any()):
        ordered = probabilities[wide].sort(dim=-1, descending=True).values
        least[wide] = _least_kept(ordered, top_p)
    return least


def _least_kept(ordered: torch.Tensor, top_p: float) -> torch.Tensor:
    """The last of `ordered` (descending) whose predecessors sum to less than top_p."""
    before = ordered.cumsum(dim=-1) - ordered
    last = (before < top_p).sum(dim=-1).clamp_(min=1) - 1
    return ordered.gather(1, last[:, None])[:, 0]
