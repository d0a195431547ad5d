"""The embedded engine: transformers in process, batches sorted by length and bounded in memory.

On a CPU a small model's batches run side by side, one thread each (tasks/generate/embedded/workers.py).
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from schemas.errors import ModelError
from schemas.job import Chat
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.decoding import Decoded, decode
from tasks.generate.embedded.forward import Begun, Forward
from tasks.generate.embedded.proof import Drawing, prove_drawing
from tasks.generate.embedded.stops import Stops
from tasks.generate.embedded.workers import Workers
from tasks.generate.engine import Progress, PromptRefused, Sample
from tasks.generate.stops import cut
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import file_stamps, load_model, load_tokenizer
from tasks.models.conversation import Prompt, plain_text
from tasks.models.dates import DATE
from tasks.models.proof import shape_of
from tasks.models.rendering import forged, prompt_tokens
from tasks.models.turns import end_of_turn, texts_of

CPU_MEMORY = 2 * 2**30
SMALL_MODEL = 64 * 2**20
"""Bytes of weights up to which a batch has one thread: larger ones give all threads enough to do at once."""
MOST_WORKERS = 4
"""Python itself runs one thread at a time, which more workers than these would wait for."""
LOGIT_COPIES = 5
"""Float32 tensors as large as the logits that one draw holds at a time."""
PENALTY_COPIES = 3
"""As many more where repetition is penalised, the table of what was seen included."""


@dataclass(frozen=True)
class _Batch:
    """Prompts (by position in the call), which samples of each, and the seed of every slot."""

    prompts: list[int]
    indices: range
    seeds: list[int]


class EmbeddedEngine:
    """A model folder as an engine (tasks/generate/engine.py), on the GPU where there is one, else the CPU.

    `rows` bounds the samples decoded at once, `memory` (bytes; None: 2 GiB on a CPU, half of what is free on
    a GPU) their cache and logits; neither changes what is drawn in float32. One call runs at a time, others
    wait. Raises ModelError where the folder cannot be loaded or the model's logits are not finite.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rows: int = 512,
        memory: int | None = None,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        chat: Chat = PLAIN,
    ) -> None:
        self.folder, self.device = folder, torch.device(device or _best_device())
        self.tokenizer: Any = load_tokenizer(folder, chat)
        model: Any = load_model(folder, dtype=dtype)
        self.shape = shape_of(model)
        self._context = self.shape.context
        self._is_end = _end_table(model, self.tokenizer).to(self.device)
        forward = Forward(model.to(self.device))
        self._workers: Workers[_Batch, Decoded] = Workers(forward, _worker_count(model, self.device))
        self._sizes = (forward.token_bytes, forward.vocabulary)
        self._rows, self._memory = rows, (memory or _free_memory(self.device)) // self._workers.count
        self._begun: Begun | None = None
        self._lock = threading.Lock()

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """See Engine.generate. `progress` is called in the caller's thread."""
        if len(prompts) != len(seeds):
            raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
        stops = Stops(self.tokenizer, sampling.stop) if sampling.stop else None
        with self._lock:
            ids = self._encode(prompts, sampling.max_tokens)
            batches = [
                _Batch(some, indices, [seeds[prompt] + index for prompt in some for index in indices])
                for some, indices in self._batches(ids, sampling)
            ]

            def write(forward: Forward, batch: _Batch, report: Progress) -> Decoded:
                tokens = [ids[prompt] for prompt in batch.prompts]
                return decode(forward, tokens, batch.seeds, sampling, self._is_end, report, stops)

            answers: list[list[Sample]] = [[] for _ in prompts]
            for batch, decoded in self._workers.each(write, batches, progress):
                samples, count = self._samples(decoded, batch, sampling.stop), len(batch.indices)
                for place, prompt in enumerate(batch.prompts):
                    answers[prompt] += samples[place * count : (place + 1) * count]
            return [sorted(samples, key=lambda sample: sample.index) for samples in answers]

    def logprobs_after(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities (nats, temperature 1) of every token of the vocabulary after a prompt and the
        tokens of an answer that was begun. Several questions in a row about one prompt read it once.
        """
        with self._lock:
            (ids,) = self._encode([prompt], max(len(tokens), 1))
            self._begun, logits = self._workers.ask(lambda forward: forward.after(ids, tokens, self._begun))
        logprobs: list[float] = torch.log_softmax(logits[0].double(), dim=-1).tolist()
        return logprobs

    @property
    def end_ids(self) -> list[int]:
        """The tokens that end an answer."""
        ids: list[int] = torch.nonzero(self._is_end)[:, 0].tolist()
        return ids

    def prove(self) -> Drawing:
        """Compare its draws with plain passes of its model; ModelError where they are not the model's."""
        with self._lock:
            return self._workers.ask(lambda forward: prove_drawing(forward, self._is_end))

    def close(self) -> None:
        """Frees the model; the engine cannot be used afterwards."""
        with self._lock:
            self._workers.close()
            self._begun = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __enter__(self) -> EmbeddedEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, prompts: Sequence[Prompt], max_tokens: int) -> list[list[int]]:
        """Token ids as tasks.models.rendering.prompt_ids gives them, all prompts at once."""
        broken = [i for i, prompt in enumerate(prompts) if not _is_unicode(prompt)]
        if broken:
            raise _refused(prompts, broken, "is not Unicode text (it holds half of a surrogate pair)")
        if not prompts:
            return []
        marks = [forged(self.tokenizer, prompt) for prompt in prompts]
        if speaking := [i for i, mark in enumerate(marks) if mark is not None]:
            raise _refused(
                prompts, speaking, f"holds {marks[speaking[0]]!r}, which would end or begin a turn"
            )
        ids = prompt_tokens(self.tokenizer, prompts)
        empty = [i for i, one in enumerate(ids) if not one]
        if empty:
            raise _refused(prompts, empty, "has no tokens")
        long = [i for i, one in enumerate(ids) if self._context and len(one) + max_tokens > self._context]
        if long:
            why = f"is too long: {len(ids[long[0]])} tokens and max_tokens {max_tokens} do not fit"
            raise _refused(prompts, long, f"{why} the model's context of {self._context}")
        return ids

    def _batches(self, ids: list[list[int]], sampling: Sampling) -> Iterator[tuple[list[int], range]]:
        """Prompts alike in length with the samples to draw, longest first: what is too large fails early."""
        order = sorted(range(len(ids)), key=lambda prompt: (-len(ids[prompt]), prompt))
        start, count = 0, sampling.samples
        token_bytes, vocabulary = self._sizes
        copies = LOGIT_COPIES + (PENALTY_COPIES if sampling.repetition_penalty != 1.0 else 0)
        share = -(-len(order) // self._workers.count) * count
        while start < len(order):
            longest = len(ids[order[start]])
            one = (longest + sampling.max_tokens) * token_bytes + copies * 4 * vocabulary
            slots = max(1, min(self._rows, share, self._memory // one))
            some = order[start : start + max(1, slots // count)]
            for first in range(0, count, slots):
                yield some, range(first, min(first + slots, count))
            start += len(some)

    def _samples(self, decoded: Decoded, batch: _Batch, stop: Sequence[str]) -> list[Sample]:
        lengths, stopped = decoded.lengths.tolist(), decoded.stopped.tolist()
        tokens = [row[:n] for row, n in zip(decoded.tokens.T.tolist(), lengths, strict=True)]
        logprobs, tempered = (
            [tuple(row[:n]) for row, n in zip(numbers.T.tolist(), lengths, strict=True)]
            for numbers in (decoded.logprobs, decoded.tempered)
        )
        sums = [math.fsum(row) for row in logprobs]
        if not all(map(math.isfinite, sums)):
            raise ModelError(f"{self.folder} gives logits that are not finite: its weights are broken")
        bare = [row[:-1] if end else row for row, end in zip(tokens, stopped, strict=True)]
        texts = texts_of(self.tokenizer, bare)
        for place, text in enumerate(texts) if stop else ():
            if (before := cut(text, stop)) is not None:
                texts[place], stopped[place] = before, True
        indices = list(batch.indices) * len(batch.prompts)
        ends = ["stop" if end else "length" for end in stopped]
        ids = map(tuple, tokens)
        columns = (indices, batch.seeds, texts, ends, lengths, sums, ids, logprobs, tempered)
        return [Sample(*values) for values in zip(*columns, strict=True)]


def embedded_engine(folder: Path, chat: Chat = PLAIN, dtype: str = "float32") -> EmbeddedEngine:
    """The engine of a folder that writes turns as `chat` says and computes in a type of torch's, kept while
    it is among the last two asked for, so that shards share a load.

    A folder whose files were written again is loaded again, and so is one when templates write another date.
    Do not close what this returns.
    """
    return _kept_engine(folder.resolve(), file_stamps(folder), os.environ.get(DATE), chat, dtype)


@lru_cache(maxsize=2)
def _kept_engine(
    folder: Path, files: tuple[tuple[str, int], ...], day: str | None, chat: Chat, dtype: str
) -> EmbeddedEngine:
    return EmbeddedEngine(folder, chat=chat, dtype=getattr(torch, dtype))


def _worker_count(model: Any, device: torch.device) -> int:
    small = sum(one.numel() * one.element_size() for one in model.parameters()) <= SMALL_MODEL
    return min(torch.get_num_threads(), MOST_WORKERS) if small and device.type == "cpu" else 1


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _free_memory(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_MEMORY


def _end_table(model: Any, tokenizer: Any) -> torch.Tensor:
    """Booleans, shape (vocabulary,): the end tokens of the generation settings and of the tokenizer, and the
    one that a training teaches.
    """
    configured = getattr(model.generation_config, "eos_token_id", None)
    own = configured if isinstance(configured, list) else [configured]
    ends = {tokenizer.eos_token_id, end_of_turn(tokenizer), *own}
    table = torch.zeros(model.get_output_embeddings().weight.shape[0], dtype=torch.bool)
    table[[end for end in ends if end is not None and end < len(table)]] = True
    return table


def _is_unicode(prompt: Prompt) -> bool:
    try:
        plain_text(prompt).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(prompts: Sequence[Prompt], indices: list[int], why: str) -> PromptRefused:
    quote = plain_text(prompts[indices[0]])[:40].encode("utf-8", "replace").decode()
    more = f" (and {len(indices) - 1} more prompts)" if len(indices) > 1 else ""
    return PromptRefused(f"prompt {indices[0]} ({quote!r}) {why}{more}", indices)
