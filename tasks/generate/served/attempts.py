"""One request over HTTP, tried until it is answered, refused for good, or tried often enough.

Covered: 408, 429, 5xx, time-outs and lost connections are tried again, after a jittered pause that doubles
and is never shorter than Retry-After, which holds for every request to the server; other refusals are not
tried again; bodies are capped and never unpacked; no redirect is followed, so that the key goes nowhere else;
what a server says is shown without the key. Not covered: what a server was asked to keep for itself and does
not.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from schemas.errors import EndpointError
from tasks.generate.served.replies import hidden, is_overflow, refusal

PAUSE = 0.5  # seconds before the second attempt, at most; twice as long before each further one
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 600.0
CONNECT = 10.0
PASSING = frozenset({408, 429})
"""Besides 5xx: refusals of the moment."""


class Refused(Exception):
    """An attempt came to nothing. `passing`: another may not; `taken`: the server may have done the work all
    the same; `wait`: seconds that the server asks for.
    """

    def __init__(
        self,
        why: str,
        status: int | None = None,
        *,
        passing: bool = False,
        taken: bool = False,
        overflow: bool = False,
        wait: float = 0.0,
    ) -> None:
        super().__init__(why)
        self.status, self.passing, self.taken = status, passing, taken
        self.overflow, self.wait = overflow, wait


class Gate:
    """When the server may be asked again, for all requests to it, and whether attempts still repeat."""

    def __init__(self) -> None:
        self._opens = 0.0
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Nothing is tried again any more."""
        return self._closing.is_set()

    def close(self) -> None:
        """End all pauses: what is in flight may finish, and nothing is tried again."""
        self._closing.set()

    def shut_for(self, seconds: float) -> None:
        """The server asked for so long a pause."""
        self._opens = max(self._opens, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until the server may be asked."""
        while not self.closing and (left := self._opens - time.monotonic()) > 0:
            await self.sleep(left)

    async def sleep(self, seconds: float) -> None:
        """Pause, or until the gate closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass


@dataclass(frozen=True)
class Line:
    """How an endpoint is reached: its URL, seconds for one attempt, the key (None: none is sent), and the
    environment variables that may hold one.
    """

    url: str
    timeout: float
    key: str | None
    key_variables: tuple[str, ...]

    def client(self, connections: int) -> httpx.AsyncClient:
        """A client of the endpoint. Proxies of the environment are used, but for this machine itself."""
        headers = {"accept-encoding": "identity", "accept": "application/json", "user-agent": "ratchet"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=min(CONNECT, self.timeout)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=httpx.URL(self.url).host not in ("localhost", "127.0.0.1", "::1"),
        )

    async def ask(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any] | None, most: int
    ) -> bytes:
        """One attempt: the body of a 200, at most `most` bytes; Refused otherwise."""
        try:
            async with asyncio.timeout(self.timeout):
                status, headers, data = await _exchange(client, self.url + path, body, most)
        except TimeoutError:
            raise Refused(f"no answer within {self.timeout:g} s", passing=True, taken=True) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Refused(f"no connection ({self._reason(error)})", passing=True) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise EndpointError(f"{self.url} cannot be asked: {self._reason(error)}") from None
        except httpx.TransportError as error:
            why = f"the connection was lost ({self._reason(error)})"
            raise Refused(why, passing=True, taken=True) from None
        if status == 200:
            return data
        message = refusal(data, self.key)
        if 300 <= status < 400:
            raise EndpointError(
                f"{self.url} redirects (HTTP {status}), which is not followed: give the URL it leads to"
            )
        raise Refused(
            f"HTTP {status}{': ' if message else ''}{message}",
            status,
            passing=status in PASSING or status >= 500,
            overflow=status in (400, 413, 422) and is_overflow(message),
            wait=_seconds(headers.get("retry-after")) if status in PASSING or status >= 500 else 0.0,
        )

    def _reason(self, error: Exception) -> str:
        """Why an exchange broke off: it may quote what the server sent."""
        return hidden(str(error), self.key) or type(error).__name__


async def _exchange(
    client: httpx.AsyncClient, url: str, body: dict[str, Any] | None, most: int
) -> tuple[int, httpx.Headers, bytes]:
    """Status, headers and raw body of one exchange."""
    method = "GET" if body is None else "POST"
    async with client.stream(method, url, json=body) as response:
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise Refused(
                "the answer is compressed, which was not asked for", response.status_code, taken=True
            )
        data = bytearray()
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > most:
                raise Refused(f"the answer is longer than {most:,} bytes", response.status_code, taken=True)
        return response.status_code, response.headers, bytes(data)


def pause_before(attempt: int) -> float:
    """Seconds before attempt number `attempt` (from 1 on): full jitter, the span doubling each time."""
    return random.uniform(0, min(LONGEST_PAUSE, PAUSE * 2 ** (attempt - 1)))  # noqa: S311


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds, given as a number or a date; 0 where it is neither."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if math.isfinite(seconds) else 0.0
