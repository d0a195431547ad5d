"""What an engine is: prompts in, samples out, by one method. In process: embedded.py; by HTTP: served.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.errors import BadInput
from schemas.ids import Part, digest
from schemas.recipes.shared import Sampling
from tasks.models.conversation import Prompt

FinishReason = Literal["stop", "length"]
Progress = Callable[[int], None]
"""Called with the number of samples newly finished."""
SEED_SPACING = 2**16  # a prompt's samples take seed, seed + 1 ...: more than any number of them apart


@dataclass(frozen=True, slots=True)
class Sample:
    """One text a checkpoint wrote.

    `token_ids` and `token_logprobs` have `token_count` entries each, as plain tuples (immutable, ready for an
    Arrow list column). They include the end token where it was sampled (`finish_reason` "stop"); `text`
    leaves that one out and keeps every other special token. Where the answer ended by a stop string, they are
    all the tokens drawn, those of the string too, and `text` is cut before it. Log-probabilities (nats) are
    the model's own, at temperature 1, before any cut and without a repetition penalty; `logprob_sum` is their
    sum; `tempered_logprobs` are those at the temperature drawn by (greedy: at 1), before any cut. A server
    may keep some of this to itself: then the tuple is empty, and the count or the sum is None.
    """

    index: int
    seed: int
    text: str
    finish_reason: FinishReason
    token_count: int | None
    logprob_sum: float | None
    token_ids: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    tempered_logprobs: tuple[float, ...] = ()


def first_seed(*work: Part) -> int:
    """The seed of a prompt's first sample: 40 bits of hash, spaced so that no two prompts' overlap."""
    return int(digest(work)[:10], 16) * SEED_SPACING


class PromptRefused(BadInput):
    """Prompts that cannot be put to the model: too long for its context, or not encodable.

    `indices` are the positions of all such prompts in the call, ascending, so that a caller can name or drop
    them; nothing was generated.
    """

    def __init__(self, message: str, indices: Sequence[int]) -> None:
        super().__init__(message)
        self.indices = tuple(indices)


class Engine(Protocol):
    """Anything that writes texts: in process, behind an endpoint, or a server a round starts."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """`sampling.samples` samples for each prompt, in the order of the prompts.

        A prompt is a text or a conversation (tasks/models/conversation.py), put by the model's own template
        (tasks/models/rendering.py). `seeds` has one seed a prompt; sample i of prompt p has the seed
        `seeds[p] + i` and, up to float noise, the same text whatever else is in the call. Raises
        PromptRefused, before anything is generated, where a prompt and `sampling.max_tokens` do not fit the
        model's context (nothing is ever truncated), or a conversation's content would end or begin a turn.
        """
        ...
