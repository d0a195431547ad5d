"""Stop strings: an answer ends where its text first holds one, even across tokens, and is cut before it.

An answer ends with the token that completes the string; what that token says beyond it is cut too. The text
looked at is that of the whole answer, special tokens included (tasks/models/turns.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tasks.generate.stops import cut
from tasks.models.turns import texts_of

MARGIN = 4
"""Tokens more than a stop string has bytes: what is decoded may begin in the middle of a character, or lose a
space at its beginning.
"""


class Stops:
    """Sees when the tokens of answers complete a stop string. `stop` is not empty."""

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self.stop = tuple(stop)
        self._tokenizer = tokenizer
        self._reach = MARGIN + max(len(one.encode()) for one in stop)

    def completed(self, tokens: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """Which of `slots` hold a stop string in their column of `tokens` (steps, all slots): (slots,)."""
        there = self._holding(tokens[-self._reach :, slots])
        some = torch.nonzero(there)[:, 0]
        if len(some):  # the tail alone may be written otherwise than in its place
            there[some] = self._holding(tokens[:, slots[some]])
        return there

    def _holding(self, tokens: torch.Tensor) -> torch.Tensor:
        texts = texts_of(self._tokenizer, tokens.T.tolist())
        return torch.tensor([cut(text, self.stop) is not None for text in texts], device=tokens.device)
