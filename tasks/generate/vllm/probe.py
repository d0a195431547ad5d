"""Whether a server has the weights it was given: its log-probabilities of a few tokens, against the folder's
own.

A server that says its weights were changed may have changed none of them, or some (vLLM 0.32 on a CPU keeps
the old output head where it is tied to the embeddings). So only what it computes is believed.

Covered: weights that are not those of the folder, wholly or in part, as far as they move the probe's log-
probabilities beyond what the server's arithmetic does. Where old and new weights are too alike for that, the
probe says so. Not covered: weights that no token of the probe meets (rows of other tokens' embeddings).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.models.checkpoint import check_folder, load_model

LENGTH = 64
STRIDE = 7919  # a prime, so that the probe's tokens lie all over the vocabulary
FLOOR = 1e-4
"""Nats that two computations of one log-probability in float32 may differ by."""
CLEAR = 4.0
"""Old and new weights are told apart where they differ by so many times the server's own deviation."""
LARGEST = 8 * 2**30
"""Bytes of weights up to which a folder is loaded here to compare."""


@dataclass(frozen=True)
class Seen:
    """Log-probabilities of the probe's tokens but the first: by the folder's weights here, and as served."""

    here: tuple[float, ...]
    served: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """The largest difference of the two, in nats."""
        return _apart(self.here, self.served)


def probe_ids(vocabulary: int, context: int | None) -> list[int]:
    """The probe: token ids spread over the vocabulary."""
    return [(i + 1) * STRIDE % vocabulary for i in range(min(LENGTH, context or LENGTH))]


def is_small(folder: Path) -> bool:
    """Whether a folder's weights can be loaded here to compare."""
    return sum(file.stat().st_size for file in check_folder(folder)) <= LARGEST


@torch.inference_mode()
def computed(folder: Path, ids: list[int]) -> tuple[float, ...]:
    """Log-probabilities of `ids` but the first, by one plain forward pass in float32 on the CPU."""
    model: Any = load_model(folder)
    logits = model(torch.tensor([ids])).logits[0, :-1].float()
    chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])
    return tuple(chosen[:, 0].tolist())


def took(before: Seen, after: Seen, deviation: float) -> bool:
    """Whether the server went from `before`'s weights to `after`'s; False also where they are too alike to
    tell.

    `deviation` is that of weights which the same server loaded when it started.
    """
    noise = 2 * deviation + FLOOR
    return _apart(before.here, after.here) >= CLEAR * noise and after.deviation <= noise


def _apart(some: tuple[float, ...], others: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(some, others, strict=True))
