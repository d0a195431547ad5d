"""Whether what the engine draws is the model's own: its tokens and log-probabilities against plain passes.

Covered: one and several samples a prompt (in rows of their own and shared ones), greedy and sampled, prompts
alone and in a padded batch, and texts longer than any window of the model's attention, up to a bound. A model
whose earlier positions change with what comes after them is no language model to train, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from schemas.errors import ModelError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.decoding import Decoded, decode
from tasks.generate.embedded.forward import PROBED, SIXTEEN_BITS, Forward

STEPS = 6
"""Tokens of an answer in the probe: a prompt as long as a window less some is gone over within them."""
CLOSE = 5e-3
"""Nats that two ways to compute one log-probability in float32 may differ by; seen: 3e-5."""
SAME = 1e-4
"""Of the largest logit: what a change of later tokens may change of earlier logits, by rounding alone."""
LONGEST_CPU, LONGEST_GPU = 1_100, 8_200
"""Tokens of the longest probe: a window beyond them is told, not probed."""


@dataclass(frozen=True)
class Drawing:
    """What the probe found: how many answers it drew, the largest difference (nats), and windows (tokens)
    that are too wide to be probed.
    """

    answers: int
    deviation: float
    unprobed: tuple[int, ...]


@torch.inference_mode()
def prove_drawing(forward: Forward, is_end: torch.Tensor) -> Drawing:
    """Draw in every way and compare with plain passes; ModelError where they differ."""
    model, kind = forward.model, forward.model.config.model_type
    config = model.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    limit = LONGEST_CPU if forward.device.type == "cpu" else LONGEST_GPU
    most = limit if context is None else min(limit, context - STEPS)
    windows = sorted(w for w in _windows(config) if context is None or w < context)
    lengths = [n for w in windows for n in (w - 2, w + 5) if 0 < n <= most]
    prompts = [_ids(n, forward.vocabulary) for n in (*(n for n in PROBED if n <= most), *lengths)]
    if not prompts:
        raise ModelError(f"a context of {context} tokens is too short for a prompt and an answer")
    if model.dtype == torch.float32:  # what is seen there is true of the model in any type
        _refuse_seeing_ahead(model, prompts[-1])
    worst, answers = 0.0, 0
    for some, sampling in _ways(prompts):
        seeds = [1_000 * i + n for i in range(len(some)) for n in range(sampling.samples)]
        decoded = decode(forward, some, seeds, sampling, is_end)
        apart, largest = _deviation(model, some, decoded, sampling)
        close = CLOSE if model.dtype == torch.float32 else SIXTEEN_BITS * max(1.0, largest)
        if not apart <= close:
            raise ModelError(
                f"a model of kind {kind} cannot be drawn from here: what its cache says of a text is not "
                f"what a plain pass says (log-probabilities differ by up to {apart:.2g} nats)"
            )
        worst, answers = max(worst, apart), answers + len(seeds)
    return Drawing(answers, worst, tuple(w for w in windows if w + 5 > most))


def _ways(prompts: Sequence[list[int]]) -> Iterator[tuple[list[list[int]], Sampling]]:
    every = list(prompts)
    yield every, Sampling(samples=1, temperature=0.0, max_tokens=STEPS)
    yield every, Sampling(samples=4, temperature=1.0, max_tokens=STEPS)
    yield every[-1:], Sampling(samples=1, temperature=0.7, top_p=0.9, max_tokens=STEPS)


def _deviation(
    model: Any, prompts: list[list[int]], decoded: Decoded, sampling: Sampling
) -> tuple[float, float]:
    """The most that a drawn answer's log-probabilities, or its greedy choices, differ from a plain pass's,
    and the largest logit.
    """
    worst = largest = 0.0
    for slot, length in enumerate(decoded.lengths.tolist()):
        tokens, prompt = decoded.tokens[:length, slot], prompts[slot // sampling.samples]
        logits = _plain(model, [*prompt, *tokens.tolist()])[len(prompt) - 1 : -1]
        plain, largest = logits.log_softmax(-1), max(largest, float(logits.abs().max()))
        own = plain.gather(1, tokens[:, None])[:, 0]
        if not bool(plain.isfinite().any(dim=-1).all()) or not bool(own.isfinite().all()):
            raise ModelError("its logits are not finite: its weights are broken")
        worst = max(worst, float((own - decoded.logprobs[:length, slot]).abs().max()))
        if sampling.temperature == 0.0:
            worst = max(worst, float((plain.amax(-1) - own).max()))
    return worst, largest


def _refuse_seeing_ahead(model: Any, ids: list[int]) -> None:
    """ModelError where a position's logits change with the tokens that follow it."""
    half = len(ids) // 2
    other = [*ids[:half], *(one + (1 if one == 0 else -1) for one in ids[half:])]
    first = _plain(model, ids)[:half]
    ahead = float((first - _plain(model, other)[:half]).abs().max())
    if ahead > SAME * max(1.0, float(first.abs().max())):
        raise ModelError(
            f"a model of kind {model.config.model_type} sees what comes after a token (its logits change by "
            f"{ahead:.2g}): causal language models alone are trained"
        )


def _plain(model: Any, ids: list[int]) -> torch.Tensor:
    """Float32 logits of one text by one pass that keeps nothing, shape (tokens, vocabulary), on the CPU."""
    text = torch.tensor([ids], device=model.device)
    logits: torch.Tensor = model(input_ids=text, use_cache=False).logits[0]
    return logits.float().cpu()


def _windows(config: Any) -> Iterator[int]:
    """The widths that a configuration gives for windows or chunks of attention or state, in tokens."""
    values = config.to_dict()
    for name, value in values.items():
        unused = name == "sliding_window" and values.get("use_sliding_window") is False
        if ("window" in name or "chunk" in name) and type(value) is int and value > 1 and not unused:
            yield value


def _ids(length: int, vocabulary: int) -> list[int]:
    """A text of tokens that lie all over the vocabulary."""
    return [(7 * i + length) % vocabulary for i in range(length)]
