"""Drawing tokens: one uniform number a (seed, step), so that a sample never depends on its batch.

The numbers come from SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators") read as a counter: no state, any step at any time, the same on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

GOLDEN = 0x9E3779B97F4A7C15
UNIFORM_BITS = 23
"""With 23 bits, u times a float32 total always rounds below the total, so the draw stays inside."""
ROUNDING = 1e-6
"""How far float32 sums of probabilities may be from exact ones."""
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


@dataclass(frozen=True)
class Drawn:
    """Tokens drawn, their log-probabilities at temperature 1, and which of them float noise could change.

    `tempered` are their log-probabilities at the temperature drawn by, before any cut (greedy: at 1). All
    have the shape (rows,).
    """

    tokens: torch.Tensor
    logprobs: torch.Tensor
    unsure: torch.Tensor
    tempered: torch.Tensor


def draw_tokens(
    logits: torch.Tensor,
    uniform: torch.Tensor,
    temperature: float,
    top_p: float,
    noise: float = 0.0,
    top_k: int | None = None,
    min_p: float = 0.0,
    *,
    scores: torch.Tensor | None = None,
) -> Drawn:
    """A token a row from float32 logits, shape (rows, vocabulary), which are right within `noise`.

    Temperature 0 takes the likeliest token (the first of equals). Otherwise the token is where `uniform`
    (shape (rows,)) falls in the cumulative tempered distribution, cut as transformers cuts it: to the `top_k`
    likeliest tokens, of those to the nucleus (Holtzman et al. 2020, arXiv 1904.09751) of `top_p`, and to what
    is at least `min_p` times as likely as the likeliest (Nguyen et al. 2024, arXiv 2407.01082). `scores` are
    logits to draw by in the place of `logits`, which log-probabilities are of. A row that is not finite gets
    a log-probability of NaN.
    """
    total = torch.logsumexp(logits, dim=-1)
    by = logits if scores is None else scores
    tempered = None
    if temperature == 0.0:
        tokens = by.argmax(dim=-1)
        first, second = by.topk(2, dim=-1).values.unbind(dim=-1)
        unsure = (first - second < 2.0 * noise) & (noise > 0.0)
    else:
        weights = torch.softmax(by / temperature, dim=-1)
        doubtful = _cut(weights, top_k, top_p, min_p, noise / temperature)
        tokens, unsure = _sampled(weights, uniform, doubtful, noise / temperature)
        if temperature != 1.0 or scores is not None:  # what a cut leaves is as it was before
            tempered = weights.gather(1, tokens[:, None])[:, 0].log()
    logprobs = logits.gather(1, tokens[:, None])[:, 0] - total
    return Drawn(tokens, logprobs, unsure, logprobs if tempered is None else tempered)


def _cut(weights: torch.Tensor, top_k: int | None, top_p: float, min_p: float, noise: float) -> torch.Tensor:
    """Set the probabilities of tokens that are cut to zero; returns the probability of those that noise could
    bring back or take out, shape (rows,).
    """
    doubtful = torch.zeros_like(weights[:, 0])
    least = weights.amax(dim=-1) * min_p
    if top_k is not None and top_k < weights.shape[1]:
        last = weights.topk(top_k, dim=-1).values[:, -1]
        if noise:
            alike = _alike(weights, last, noise)
            doubtful += alike.where(alike > last, 0.0)  # the last alone is in, however noise moves it
        weights.masked_fill_(weights < last[:, None], 0.0)
    if top_p < 1.0:
        shares = weights if top_k is None else weights / weights.sum(dim=-1, keepdim=True)
        nucleus = _nucleus(shares, top_p)
        if noise:
            doubtful += nucleus.doubtful(shares, top_p, noise, doubtful)
        weights.masked_fill_(shares < nucleus.least[:, None], 0.0)
    if min_p > 0.0:
        if noise:
            doubtful += _alike(weights, least, noise)
        weights.masked_fill_(weights < least[:, None], 0.0)
    return doubtful


def _sampled(
    weights: torch.Tensor, uniform: torch.Tensor, doubtful: torch.Tensor, noise: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens, and whether `noise` in tempered logits could have changed them."""
    cumulative = weights.cumsum(dim=-1)
    total = cumulative[:, -1:]
    target = uniform[:, None] * total
    tokens = torch.searchsorted(cumulative, target, right=True)
    tokens.clamp_(max=weights.shape[1] - 1)  # only rows of NaN reach the clamp
    upper = cumulative.gather(1, tokens)
    edges = torch.cat([upper - weights.gather(1, tokens), upper], dim=-1) / total
    slack = _moved(edges, noise) + doubtful[:, None] / total
    unsure = ((edges - uniform[:, None]).abs() < slack).any(dim=-1)
    return tokens[:, 0], unsure & (noise > 0.0)


def _alike(probabilities: torch.Tensor, edge: torch.Tensor, noise: float) -> torch.Tensor:
    """The mass of the tokens that noise could move over an edge (rows,) of probability, shape (rows,)."""
    ratio = math.exp(min(2.0 * noise, 50.0))
    above, below = (edge * ratio)[:, None], (edge / ratio)[:, None]
    return probabilities.where((probabilities < above) & (probabilities > below), 0.0).sum(dim=-1)


def _moved(cumulative: torch.Tensor, noise: float) -> torch.Tensor:
    """How far noise of e in each logit moves a cumulative probability c at most: c (1 - c) (exp(2 e) - 1).

    Odds change by a factor between exp(-2 e) and exp(2 e); sums in float32 are not exact either.
    """
    return cumulative * (1.0 - cumulative) * math.expm1(min(2.0 * noise, 50.0)) + ROUNDING


@dataclass(frozen=True)
class _Nucleus:
    """The least probability in each row's nucleus, the fewest likeliest tokens that reach top_p.

    Tokens as likely as the least one are all kept, so the cut does not depend on how equals are ordered.
    `before` is the sum of all likelier ones. Both have the shape (rows,).
    """

    least: torch.Tensor
    before: torch.Tensor

    def doubtful(
        self, probabilities: torch.Tensor, top_p: float, noise: float, before: torch.Tensor
    ) -> torch.Tensor:
        """The probability of what noise could bring into the nucleus or take out of it, shape (rows,).

        That is: tokens as likely as the least one, within noise; the least one, where those before it may be
        enough; the next one and all as likely, where the least one may not be enough; and what else lies
        within the noise of the sum.
        """
        ratio = math.exp(min(2.0 * noise, 50.0))
        below = (self.least / ratio)[:, None]
        alike = _alike(probabilities, self.least, noise)
        slack = _moved(torch.full_like(self.least, top_p), noise) + before
        enough_before = (top_p - self.before).abs() < slack
        mass = alike - self.least.where(~enough_before, 0.0) + 2.0 * slack
        not_enough = (self.before + alike - top_p).abs() < slack + alike - self.least
        rows = torch.nonzero(not_enough)[:, 0]
        if len(rows):
            mass[rows] += _next_mass(probabilities[rows], below[rows], ratio)
        return mass


def _next_mass(probabilities: torch.Tensor, below: torch.Tensor, ratio: float) -> torch.Tensor:
    """The mass of the likeliest tokens that are at most as likely as `below`, within a ratio, (rows,)."""
    lower = probabilities.where(probabilities <= below, 0.0)
    return lower.where(lower > lower.amax(dim=-1, keepdim=True) / ratio, 0.0).sum(dim=-1)


def _nucleus(probabilities: torch.Tensor, top_p: float) -> _Nucleus:
    first = min(NUCLEUS_FIRST, probabilities.shape[1])
    likeliest = probabilities.topk(first, dim=-1).values
    nucleus = _least_kept(likeliest, top_p)
    wide = likeliest.sum(dim=-1) < top_p
    if first < probabilities.shape[1] and bool(wide.any()):
        ordered = probabilities[wide].sort(dim=-1, descending=True).values
        of_wide = _least_kept(ordered, top_p)
        nucleus.least[wide], nucleus.before[wide] = of_wide.least, of_wide.before
    return nucleus


def _least_kept(ordered: torch.Tensor, top_p: float) -> _Nucleus:
    """The last of `ordered` (descending) whose predecessors sum to less than top_p."""
    before = ordered.cumsum(dim=-1) - ordered
    last = ((before < top_p).sum(dim=-1).clamp_(min=1) - 1)[:, None]
    return _Nucleus(ordered.gather(1, last)[:, 0], before.gather(1, last)[:, 0])
