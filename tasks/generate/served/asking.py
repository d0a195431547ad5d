"""One request to an endpoint, from the budget to its samples: retries, lessons and final failures."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from schemas.engine import Endpoint
from schemas.errors import EndpointError
from schemas.job import Chat
from schemas.recipes.shared import Sampling
from tasks.generate.served.attempts import Gate, Line, Refused, pause_before
from tasks.generate.served.endpoint import CHAT, COMPLETIONS, key_refused
from tasks.generate.served.replies import Decode, Read, Unusable, counted, hidden, parsed, read_answer
from tasks.generate.served.requests import TEMPLATE_VALUES, Ask, Dialect, Reply, body_of
from tasks.generate.served.spending import NOTHING, Bound, Spending
from tasks.models.conversation import messages_of, plain_text

BODY, BODY_PER_TOKEN = 2**20, 2**10
"""Bytes that an answer may have, and more for each token asked for."""
TEMPLATE_TOKENS = 256
"""Tokens that a server's chat template may add to a prompt, until one has been seen to add more."""
SHORTEST_SECRET = 12
"""A shorter key may well be a word that a model writes."""


@dataclass
class _Run:
    """A request under way: when it began, the tokens it has taken at most, and how often it was sent."""

    ask: Ask
    start: float = field(default_factory=time.monotonic)
    used: Bound = NOTHING
    tries: int = 0


class Asker:
    """Asks one endpoint, for all requests of an engine. `begin` before the requests of each call."""

    def __init__(
        self, endpoint: Endpoint, line: Line, dialect: Dialect, decode: Decode | None, chat: Chat
    ) -> None:
        self.endpoint, self.dialect, self.answered, self._chat = endpoint, dialect, False, chat
        self._line, self._decode = line, decode
        self._template_tokens = TEMPLATE_TOKENS
        self.unanswered: list[Reply] = []

    def begin(self, sampling: Sampling, spending: Spending) -> None:
        """A call's requests begin, in an event loop of their own."""
        self._gate, self._sampling, self._spending = Gate(), sampling, spending
        self._spending.begin()
        self.unanswered = []

    async def reply(self, client: httpx.AsyncClient, ask: Ask) -> Reply:
        """The reply to a request. EndpointError where no request can be answered any more, BudgetSpent where
        there is no budget for this one: nothing is then tried again for any other. `unanswered` then has what
        it may have cost, also where it was cancelled.
        """
        run = _Run(ask)
        try:
            return self._with_use(await self._reply(client, run), run)
        except (EndpointError, asyncio.CancelledError) as error:
            self._gate.close()
            if run.used != NOTHING:
                left = Reply(ask, (), str(error) or "interrupted", 0, None, None, None, final=False)
                self.unanswered.append(self._with_use(left, run))
            raise

    async def _reply(self, client: httpx.AsyncClient, run: _Run) -> Reply:
        attempt = 0
        while True:
            await self._gate.passed()
            attempt += 1
            body = body_of(run.ask, self._sampling, self.endpoint, self.dialect, self._chat)
            answer, refusal = await self._attempt(client, run, body)
            if answer is not None:
                return Reply(
                    run.ask,
                    answer.samples,
                    answer.error,
                    0,
                    200,
                    answer.prompt_tokens,
                    answer.completion_tokens,
                )
            assert refusal is not None
            self._give_up_if(refusal, body)
            if refusal.status in (400, 422) and self.dialect.learns_from(str(refusal), body):
                attempt -= 1
                continue
            if not refusal.passing or attempt > self.endpoint.retries or self._gate.closing:
                return _failed(run.ask, refusal, final=not (refusal.passing and self._gate.closing))
            self._gate.shut_for(refusal.wait)
            await self._gate.sleep(pause_before(attempt))

    def _with_use(self, reply: Reply, run: _Run) -> Reply:
        tokens, cost = run.used.read + run.used.written, self._spending.cost(run.used)
        seconds = time.monotonic() - run.start
        error = None if reply.error is None else hidden(reply.error, self._line.key)
        return replace(reply, error=error, attempts=run.tries, tokens=tokens, cost=cost, seconds=seconds)

    async def _attempt(
        self, client: httpx.AsyncClient, run: _Run, body: dict[str, Any]
    ) -> tuple[Read | None, Refused | None]:
        """One attempt: an answer that was read, or why there is none."""
        bound = self._bound(run.ask)
        await self._spending.hold(bound)
        run.tries += 1
        used = bound  # cancelled: the server may do the work all the same
        try:
            answer, refusal, used = await self._try_once(client, run.ask, body, bound)
        except EndpointError:
            used = NOTHING
            raise
        finally:
            run.used = Bound(run.used.read + used.read, run.used.written + used.written)
            self._spending.settle(bound, used)
        return answer, refusal

    async def _try_once(
        self, client: httpx.AsyncClient, ask: Ask, body: dict[str, Any], bound: Bound
    ) -> tuple[Read | None, Refused | None, Bound]:
        path = CHAT if self.endpoint.api == "chat" else COMPLETIONS
        most = BODY + BODY_PER_TOKEN * ask.count * self._sampling.max_tokens
        try:
            data = await self._line.ask(client, path, body, most)
        except Refused as refusal:
            return None, refusal, bound if refusal.taken else NOTHING
        counts: tuple[int | None, int | None] = (None, None)
        try:
            value = parsed(data)
            counts = counted(value)
            answer = read_answer(value, ask, self._sampling, self.dialect.context, self._decode)
            self._keeps_the_key(answer)
        except Unusable as error:
            useless = Refused(str(error), 200, passing=error.torn, overflow=error.overflow)
            return None, useless, self._used(ask, counts, bound)
        token_counts = [sample.token_count for sample in answer.samples]
        if counts[1] is None and len(token_counts) == ask.count and None not in token_counts:
            counts = (counts[0], sum(count or 0 for count in token_counts))
        return answer, None, self._used(ask, counts, bound)

    def _give_up_if(self, refusal: Refused, body: dict[str, Any]) -> None:
        """EndpointError where a refusal is about more than this request."""
        status, url = refusal.status, self.endpoint.url
        field = self.dialect.refused_value(str(refusal), body) if status in (400, 422) else None
        if field is not None:
            part = "prompts" if field == TEMPLATE_VALUES else "sampling"
            raise EndpointError(f"{url} does not take {part}.{field} ({refusal}): leave it at its default")
        if status == 401 or (status == 403 and not self.answered):
            raise EndpointError(key_refused(self._line, refusal))
        if status == 404:
            raise EndpointError(
                f"{url} has no {self.endpoint.api} API, or no {self.endpoint.model!r} ({refusal})"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in str(refusal)):
            raise EndpointError(f"{url} wants to be paid ({refusal})")

    def _keeps_the_key(self, read: Read) -> None:
        key = self._line.key
        if key and len(key) >= SHORTEST_SECRET and any(key in sample.text for sample in read.samples):
            raise Unusable("the answer holds the key that it was asked with: it was not kept")

    def _bound(self, ask: Ask) -> Bound:
        """The most that an attempt can take: a token for each byte read, and what a template adds a turn."""
        added = _bytes(ask) + self._template_tokens * len(messages_of(ask.prompt))
        read = added if ask.ids is None else len(ask.ids)
        return Bound(read, ask.count * self._sampling.max_tokens)

    def _used(self, ask: Ask, counts: tuple[int | None, int | None], bound: Bound) -> Bound:
        """The tokens that an answer took: by its own counts, else at most."""
        read, written = counts
        if read is not None:
            turns = len(messages_of(ask.prompt))
            self._template_tokens = max(self._template_tokens, -(-(read - _bytes(ask)) // turns))
        return Bound(bound.read if read is None else read, bound.written if written is None else written)


def _bytes(ask: Ask) -> int:
    return len(plain_text(ask.prompt).encode())


def _failed(ask: Ask, refused: Refused, *, final: bool) -> Reply:
    return Reply(
        ask,
        (),
        str(refused),
        0,
        refused.status,
        None,
        None,
        overflow=refused.overflow,
        passing=refused.passing,
        final=final,
    )
