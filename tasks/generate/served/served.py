"""The served engine: a model behind any OpenAI-compatible endpoint, through the chat or the completions API.

A request asks for one sample with a seed of its own, or for all samples of a prompt where the server's sample
i then has seed + i. Covered: what attempts.py, replies.py, spending.py and traffic.py say; a request that
fails for good is told apart from an endpoint that gave out: failures are held back until another request has
succeeded after them. Not covered: that a server draws by the seed, or keeps its weights; both are its own
affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from schemas.engine import Endpoint
from schemas.errors import EndpointError, EndpointRefused, RequestFailed
from schemas.job import Chat
from schemas.recipes.shared import Sampling
from tasks.generate.engine import Progress, PromptRefused, Sample
from tasks.generate.served.asking import Asker
from tasks.generate.served.endpoint import dialect_of, line_of
from tasks.generate.served.requests import Ask, Reply
from tasks.generate.served.spending import Spending
from tasks.generate.served.traffic import Traffic
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import Prompt, plain_text
from tasks.models.rendering import forged, prompt_ids
from tasks.models.turns import end_of_turn, texts_of

MOST_FAILURES = 8
"""Requests that may fail one after the other, beside those in flight, before the endpoint is held to be out
of order.
"""


class ServedEngine:
    """An endpoint as an engine (tasks/generate/engine.py): it is asked at once what models it has.

    `key` is sent with every request and shown nowhere. `tokenizer` is that of the endpoint's value, where it
    has one and writes turns as `chat` says; without one the server is told its template values.
    EndpointRefused where the endpoint cannot be used. `unanswered` are the requests of the last call
    that were given up with it, whatever ended it, for the tokens they may have taken. One call runs at a
    time.
    """

    def __init__(self, endpoint: Endpoint, key: str | None = None, chat: Chat = PLAIN) -> None:
        self.endpoint = endpoint
        self.tokenizer: Any = load_tokenizer(Path(endpoint.tokenizer), chat) if endpoint.tokenizer else None
        self.dialect = dialect_of(endpoint, key)
        self._key, self._line = key, line_of(endpoint, key)
        decode = self._decoded if self.tokenizer is not None else None
        self.unanswered: list[Reply] = []
        self._spending = Spending(endpoint.budget)
        self._asker = Asker(endpoint, self._line, self.dialect, decode, chat)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """See Engine.generate. Where the prompts' tokens or the model's context are not known here, a
        PromptRefused comes after others were generated. RequestFailed where any other sample could not be
        had.
        """
        if len(prompts) != len(seeds):
            raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
        asks = self.asks(prompts, [range(sampling.samples)] * len(prompts), seeds)
        long = sorted({ask.place for ask in asks if self._too_long(ask, sampling)})
        if long:
            raise PromptRefused(f"prompt {long[0]} does not fit the model's context of {self.context}", long)
        answers: list[list[Sample]] = [[] for _ in prompts]
        failures: list[Reply] = []
        for reply in self.each(asks, sampling):
            if reply is not None:
                failures += [reply] if reply.error is not None else []
                answers[reply.ask.place] += reply.samples
                if progress is not None:
                    progress(len(reply.samples))
        if failures:
            raise _failure(failures)
        return [sorted(samples, key=lambda sample: sample.index) for samples in answers]

    @property
    def context(self) -> int | None:
        """The longest sequence that the server takes, in tokens, where it says so."""
        return self.dialect.context

    def asks(
        self, prompts: Sequence[Prompt], samples: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Ask]:
        """Requests for the samples (indices) of each prompt.

        PromptRefused where one is not Unicode, or is written out here and would end or begin a turn itself.
        """
        broken = [place for place, prompt in enumerate(prompts) if not _is_unicode(prompt)]
        if broken:
            raise PromptRefused(f"prompt {broken[0]} is not Unicode text", broken)
        if self.endpoint.api == "completions":
            marks = [forged(self.tokenizer, prompt) for prompt in prompts]
            if speaking := [place for place, mark in enumerate(marks) if mark is not None]:
                why = f"holds {marks[speaking[0]]!r}, which would end or begin a turn"
                raise PromptRefused(f"prompt {speaking[0]} {why}", speaking)
        result = []
        for place, (prompt, indices, seed) in enumerate(zip(prompts, samples, seeds, strict=True)):
            ids = (
                tuple(prompt_ids(self.tokenizer, prompt)) if self.tokenizer is not None and indices else None
            )
            for first, count in _runs(indices, together=self.dialect.together):
                result.append(Ask(place, prompt, seed + first, first, count, ids))
        return result

    def each(
        self, asks: Sequence[Ask], sampling: Sampling, spending: Spending | None = None
    ) -> Generator[Reply | None, None, None]:
        """What becomes of each request, as it does; None from time to time where nothing has.

        `spending` is the budget to keep, the engine's own by default. EndpointError where the endpoint gives
        out, BudgetSpent where the budget does: what was in flight is handed over first. A server that gives
        fewer choices than asked for is asked again for the others. Close it, or take all of it.
        """
        self.unanswered = []
        jobs = deque(asks)
        self._asker.begin(sampling, spending or self._spending)

        async def work(client: httpx.AsyncClient, ask: Ask) -> Reply:
            if self._too_long(ask, sampling):
                why = f"{len(ask.ids or ())} tokens and max_tokens {sampling.max_tokens} do not fit"
                why += f" the model's context of {self.context}"
                return Reply(ask, (), why, 0, None, None, None, overflow=True)
            reply = await self._asker.reply(client, ask)
            if reply.error is None and len(reply.samples) < ask.count:
                self.dialect.together = False
                jobs.extendleft(reversed(_others(ask, reply)))
            return reply

        most = self.endpoint.in_flight
        traffic = Traffic(lambda: self._line.client(most), work, jobs, most)
        return self._holding_failures_back(traffic.results())

    def close(self) -> None:
        """Nothing to free: connections live as long as a call."""

    def __enter__(self) -> ServedEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _holding_failures_back(
        self, replies: Generator[Reply | None, None, None]
    ) -> Generator[Reply | None, None, None]:
        """Hold failures back until the endpoint is known to work, because another request was answered."""
        failures: list[Reply] = []
        try:
            for reply in replies:
                if reply is None or reply.overflow or not reply.final:
                    yield reply
                elif reply.samples or (self._asker.answered and not reply.passing):
                    if reply.samples:
                        self._asker.answered = True
                        while failures:
                            yield failures.pop()
                    yield reply
                else:
                    failures.append(reply)
                    if len(failures) >= MOST_FAILURES + self.endpoint.in_flight:
                        raise self._out_of_order(failures)
            if any(reply.passing for reply in failures) and not (
                self._asker.answered and self._lists_models()
            ):
                raise self._out_of_order(failures)
            while failures:
                yield failures.pop()
        finally:
            replies.close()
            self.unanswered = [replace(one, final=False) for one in (*failures, *self._asker.unanswered)]

    def _out_of_order(self, failures: Sequence[Reply]) -> EndpointError:
        return EndpointError(
            f"{self.endpoint.url} answered none of {len(failures)} requests in a row, "
            f"the last: {failures[-1].error}"
        )

    def _lists_models(self) -> bool:
        try:
            dialect_of(self.endpoint, self._key, attempts=1)
        except EndpointRefused:
            return False
        return True

    def _too_long(self, ask: Ask, sampling: Sampling) -> bool:
        context = self.context
        return context is not None and ask.ids is not None and len(ask.ids) + sampling.max_tokens > context

    def _decoded(self, ids: list[int], stopped: bool) -> str:
        """A text as the embedded engine decodes it: without the end token of an answer that has one."""
        return texts_of(self.tokenizer, [ids[:-1] if stopped and ids[-1] in self._special else ids])[0]

    @cached_property
    def _special(self) -> frozenset[int]:
        """The tokens that may end an answer."""
        ends = (end_of_turn(self.tokenizer), *self.tokenizer.get_added_vocab().values())
        return frozenset((*self.tokenizer.all_special_ids, *ends))


def _others(ask: Ask, reply: Reply) -> list[Ask]:
    """Requests for the samples that an answer lacks, one each."""
    got = {sample.index for sample in reply.samples}
    return [
        Ask(ask.place, ask.prompt, ask.seed + i, ask.first + i, 1, ask.ids)
        for i in range(ask.count)
        if ask.first + i not in got
    ]


def _runs(indices: Sequence[int], *, together: bool) -> list[tuple[int, int]]:
    """Samples as requests, first and count: neighbours in one where they may be asked for together."""
    runs: list[tuple[int, int]] = []
    for index in sorted(indices):
        if together and runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _failure(failures: Sequence[Reply]) -> Exception:
    """What stands in the way of a call's answers: prompts that do not fit, else requests that failed."""
    places = sorted({reply.ask.place for reply in failures if reply.overflow})
    first = next((reply for reply in failures if not reply.overflow), failures[0])
    if len(places) > 0 and first.overflow:
        return PromptRefused(f"prompt {places[0]} is too long: {first.error}", places)
    return RequestFailed(f"{len(failures)} requests failed, the first: {first.error}")


def _is_unicode(prompt: Prompt) -> bool:
    try:
        plain_text(prompt).encode()
    except UnicodeEncodeError:
        return False
    return True
