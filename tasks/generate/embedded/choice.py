"""The next token of each sample in a batch, as its sampling says: repetition penalty, then the draw.

The penalty is that of Keskar et al. 2019 (arXiv 1909.05858) as transformers and vLLM have it: a token that
stands in the prompt or in the answer so far has its logit divided by the penalty where that is above zero,
else multiplied by it. Log-probabilities are those of the logits without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.recipes.shared import Sampling
from tasks.generate.embedded.draw import Drawn, draw_tokens, uniforms
from tasks.generate.embedded.forward import Forward


class Choice:
    """Draws for a batch of slots (prompts x samples): which tokens each has seen, and each step's number."""

    def __init__(
        self, forward: Forward, prompts: Sequence[Sequence[int]], seeds: Sequence[int], sampling: Sampling
    ) -> None:
        self._forward, self._prompts, self._sampling = forward, prompts, sampling
        self._each = len(seeds) // len(prompts)
        self._chance = torch.from_numpy(uniforms(seeds, sampling.max_tokens)).to(forward.device)
        self._seen: torch.Tensor | None = None
        if sampling.repetition_penalty != 1.0:
            self._seen = torch.stack([self._table(ids) for ids in prompts]).repeat_interleave(self._each, 0)

    def draw(self, logits: torch.Tensor, step: int, slots: torch.Tensor) -> Drawn:
        """The tokens of `slots` at a step from their logits, (slots, vocabulary)."""
        seen = None if self._seen is None else self._seen[slots]
        return self._drawn(logits, self._chance[step, slots], seen, self._forward.noise)

    def draw_alone(self, answer: Sequence[int], slot: int) -> Drawn:
        """The token that follows a slot's `answer`, from logits of that text with nothing beside it."""
        text = [*self._prompts[slot // self._each], *answer]
        seen = None if self._seen is None else self._seen[slot, None]
        chance = self._chance[len(answer), slot, None]
        return self._drawn(self._forward.alone(text), chance, seen, 0.0)

    def take(self, tokens: torch.Tensor, slots: torch.Tensor) -> None:
        """The tokens that the slots have taken are seen from now on."""
        if self._seen is not None:
            self._seen[slots, tokens] = True

    def _drawn(
        self, logits: torch.Tensor, chance: torch.Tensor, seen: torch.Tensor | None, noise: float
    ) -> Drawn:
        how, penalty = self._sampling, self._sampling.repetition_penalty
        scores = None if seen is None else penalised(logits, seen, penalty)
        noise *= max(penalty, 1.0 / penalty)
        return draw_tokens(
            logits, chance, how.temperature, how.top_p, noise, how.top_k, how.min_p, scores=scores
        )

    def _table(self, ids: Sequence[int]) -> torch.Tensor:
        """Booleans over the vocabulary: the tokens of a prompt."""
        table = torch.zeros(self._forward.vocabulary, dtype=torch.bool, device=self._forward.device)
        table[torch.tensor(ids, device=table.device)] = True
        return table


def penalised(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Logits after the repetition penalty on the tokens that `seen` is true of, both (rows, vocabulary)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
