"""One request to an endpoint, from the budget's leave to its samples: what is tried again, learnt, final."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import httpx

from schemas.engine import Endpoint
from schemas.errors import EndpointError
from schemas.recipe import Sampling
from tasks.generate.attempts import Gate, Line, Refused, pause_before
from tasks.generate.endpoint import key_refused
from tasks.generate.replies import Decode, Read, Unusable, counted, parsed, read_answer
from tasks.generate.requests import Ask, Dialect, Reply, body_of
from tasks.generate.spending import Bound, Spending

BODY, BODY_PER_TOKEN = 2**20, 2**10
"""Bytes that an answer may have, and more for each token asked for."""
TEMPLATE_TOKENS = 256
"""Tokens that a server's chat template may add to a prompt, until one has been seen to add more."""
SHORTEST_SECRET = 12
"""A shorter key may well be a word that a model writes."""


@dataclass(frozen=True)
class _Attempt:
    """What one attempt brought: an answer that was read, or why there is none; and the tokens it took."""

    read: Read | None
    refused: Refused | None
    used: Bound


class Asker:
    """Asks one endpoint, for all requests of an engine. `begin` before the requests of each call."""

    def __init__(
        self, endpoint: Endpoint, line: Line, dialect: Dialect, spending: Spending, decode: Decode | None
    ) -> None:
        self.endpoint, self.dialect, self.answered = endpoint, dialect, False
        self._line, self._spending, self._decode = line, spending, decode
        self._template_tokens = TEMPLATE_TOKENS

    def begin(self, sampling: Sampling) -> None:
        """A call's requests begin, in an event loop of their own."""
        self._gate, self._sampling = Gate(), sampling
        self._spending.begin()

    async def reply(self, client: httpx.AsyncClient, ask: Ask) -> Reply:
        """What becomes of a request. EndpointError where no request can be answered any more, BudgetSpent
        where there is no budget for this one: nothing is then tried again for any other.
        """
        try:
            return await self._reply(client, ask)
        except EndpointError:
            self._gate.close()
            raise

    async def _reply(self, client: httpx.AsyncClient, ask: Ask) -> Reply:
        start, used, tries, counted = time.monotonic(), Bound(0, 0), 0, 0
        while True:
            await self._gate.passed()
            tries, counted = tries + 1, counted + 1
            sent = body_of(ask, self._sampling, self.endpoint, self.dialect)
            found = await self._attempt(client, ask, sent)
            used = Bound(used.read + found.used.read, used.written + found.used.written)
            refused = found.refused
            if refused is None:
                break
            self._give_up_if(refused)
            if refused.status in (400, 422) and self.dialect.learns_from(str(refused), sent):
                counted -= 1
                continue
            if not refused.passing or counted > self.endpoint.retries or self._gate.closing:
                break
            self._gate.shut_for(refused.wait)
            await self._gate.sleep(pause_before(counted))
        reply, tokens = self._of(ask, found), used.read + used.written
        cost, seconds = self._spending.cost(used), time.monotonic() - start
        return replace(reply, attempts=tries, tokens=tokens, cost=cost, seconds=seconds)

    async def _attempt(self, client: httpx.AsyncClient, ask: Ask, sent: dict[str, object]) -> _Attempt:
        bound = self._bound(ask)
        await self._spending.hold(bound)
        found = _Attempt(None, None, bound)  # cancelled: the server may do the work all the same
        try:
            found = await self._tried(client, ask, sent, bound)
        except EndpointError:
            found = _Attempt(None, None, Bound(0, 0))
            raise
        finally:
            await self._spending.settle(bound, found.used)
        return found

    async def _tried(
        self, client: httpx.AsyncClient, ask: Ask, sent: dict[str, object], bound: Bound
    ) -> _Attempt:
        path = "/chat/completions" if self.endpoint.api == "chat" else "/completions"
        most = BODY + BODY_PER_TOKEN * ask.count * self._sampling.max_tokens
        try:
            data = await self._line.ask(client, path, sent, most)
        except Refused as refused:
            return _Attempt(None, refused, bound if refused.taken else Bound(0, 0))
        counts: tuple[int | None, int | None] = (None, None)
        try:
            value = parsed(data)
            counts = counted(value)
            read = read_answer(value, ask, self._sampling, self.dialect.context, self._decode)
            self._keeps_the_key(read)
        except Unusable as error:
            useless = Refused(str(error), 200, passing=error.torn, overflow=error.overflow)
            return _Attempt(None, useless, self._used(ask, counts, bound))
        known = [sample.token_count for sample in read.samples]
        if counts[1] is None and len(known) == ask.count and None not in known:
            counts = (counts[0], sum(count or 0 for count in known))
        return _Attempt(read, None, self._used(ask, counts, bound))

    def _of(self, ask: Ask, found: _Attempt) -> Reply:
        if found.read is not None:
            read = found.read
            return Reply(ask, read.samples, read.error, 1, 200, read.prompt_tokens, read.completion_tokens)
        refused = found.refused
        assert refused is not None
        return Reply(
            ask,
            (),
            str(refused),
            1,
            refused.status,
            None,
            None,
            overflow=refused.overflow,
            passing=refused.passing,
        )

    def _give_up_if(self, refused: Refused) -> None:
        """EndpointError where a refusal is about more than this request."""
        status, url = refused.status, self.endpoint.url
        if status == 401 or (status == 403 and not self.answered):
            raise EndpointError(key_refused(self._line, refused))
        if status == 404:
            raise EndpointError(
                f"{url} has no {self.endpoint.api} API, or no {self.endpoint.model!r} ({refused})"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in str(refused)):
            raise EndpointError(f"{url} wants to be paid ({refused})")

    def _keeps_the_key(self, read: Read) -> None:
        key = self._line.key
        if key and len(key) >= SHORTEST_SECRET and any(key in sample.text for sample in read.samples):
            raise Unusable("the answer holds the key that it was asked with: it was not kept")

    def _bound(self, ask: Ask) -> Bound:
        """The most that an attempt can take: a token for each byte read, and what a template adds."""
        added = len(ask.prompt.encode()) + self._template_tokens
        read = added if ask.ids is None else len(ask.ids)
        return Bound(read, ask.count * self._sampling.max_tokens)

    def _used(self, ask: Ask, counts: tuple[int | None, int | None], bound: Bound) -> Bound:
        """What an answer took, as it counts, and where it does not, at most."""
        read, written = counts
        if read is not None:
            self._template_tokens = max(self._template_tokens, read - len(ask.prompt.encode()))
        return Bound(bound.read if read is None else read, bound.written if written is None else written)
