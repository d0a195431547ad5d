"""An endpoint before it is asked for texts: the key, the models it has, what kind of server it is."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from schemas.engine import Endpoint
from schemas.errors import BadInput, EndpointError, EndpointRefused
from tasks.generate.served.attempts import Gate, Line, Refused, pause_before
from tasks.generate.served.replies import Unusable, hidden, parsed
from tasks.generate.served.requests import Dialect
from tasks.models.checkpoint import load_tokenizer

OWN_KEY, OPENAI_KEY, OPENAI = "RATCHET_API_KEY", "OPENAI_API_KEY", "api.openai.com"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CHAT, COMPLETIONS = "/chat/completions", "/completions"
CHECK = 30.0  # seconds for a request that asks for no texts
LARGEST_LIST = 16 * 2**20  # bytes of a list of models
SHOWN_MODELS = 6

T = TypeVar("T")


def api_key(endpoint: Endpoint) -> str | None:
    """The key for an endpoint from the environment; None for none.

    It is that of the variable that the endpoint names, which must be set, else RATCHET_API_KEY, else
    OPENAI_API_KEY, which goes to OpenAI and to this machine alone.
    """
    for name in _variables(endpoint):
        key = os.environ.get(name, "").strip()
        if not key:
            continue
        if not key.isascii() or not key.isprintable() or " " in key:
            raise BadInput(f"{name} holds signs that no key has")
        return key
    if endpoint.key_variable is not None:  # not quoted: it may be a key in a name's place
        raise EndpointRefused(f"key_variable of {endpoint.url} names no variable that holds a key")
    return None


def _variables(endpoint: Endpoint) -> tuple[str, ...]:
    """The environment variables that may hold an endpoint's key, the first that does counts."""
    if endpoint.key_variable is not None:
        return (endpoint.key_variable,)
    parts = urlsplit(endpoint.url)
    openai = parts.scheme == "https" and parts.hostname == OPENAI
    return (OWN_KEY, OPENAI_KEY) if openai or parts.hostname in LOOPBACK else (OWN_KEY,)


def line_of(endpoint: Endpoint, key: str | None) -> Line:
    """How the endpoint is reached."""
    return Line(endpoint.url, endpoint.timeout, key, _variables(endpoint))


def dialect_of(endpoint: Endpoint, key: str | None, attempts: int = 3) -> Dialect:
    """What the server says of itself and of the model; EndpointRefused where it is dead, refuses the key or
    lacks the model. A server without a list of models is taken at its word when it is asked.
    """
    data = alone(_listed(_quick(endpoint, key), attempts))
    dialect = Dialect(together=bool(endpoint.together))
    if data is None:
        return dialect
    models = _models(endpoint, data)
    if endpoint.model not in models:
        there = ", ".join(hidden(name, key)[:80] for name in sorted(models)[:SHOWN_MODELS]) or "none"
        more = f" and {len(models) - SHOWN_MODELS} more" if len(models) > SHOWN_MODELS else ""
        raise EndpointRefused(f"{endpoint.url} has no model {endpoint.model!r}; there is: {there}{more}")
    model = models[endpoint.model]
    dialect.vllm = model.get("owned_by") == "vllm"
    dialect.together = dialect.vllm if endpoint.together is None else endpoint.together
    longest = model.get("max_model_len")
    if isinstance(longest, int) and not isinstance(longest, bool) and longest > 0:
        dialect.context = longest
    return dialect


def _quick(endpoint: Endpoint, key: str | None) -> Line:
    """How the endpoint is reached for requests that take no time."""
    line = line_of(endpoint, key)
    return replace(line, timeout=min(line.timeout, CHECK))


def check_endpoint(endpoint: Endpoint, key: str | None) -> None:
    """Check at no cost that an endpoint can be used; EndpointRefused of one line.

    It is asked for its models, then sent an empty request, which a server refuses as empty, or for its key or
    its model. The tokenizer's folder is loaded.
    """
    if endpoint.tokenizer is not None:
        load_tokenizer(Path(endpoint.tokenizer))
    dialect_of(endpoint, key)
    line = line_of(endpoint, key)
    path, name = (CHAT, "messages") if endpoint.api == "chat" else (COMPLETIONS, "prompt")
    refused = alone(
        _refusal(_quick(endpoint, key), path, {"model": endpoint.model, name: [], "max_tokens": 1})
    )
    if refused is not None and refused.status in (401, 403):
        raise EndpointRefused(key_refused(line, refused))
    if refused is not None and refused.status == 404:
        raise EndpointRefused(f"{no_such(endpoint)} ({refused})")


def alone(work: Coroutine[Any, Any, T]) -> T:
    """A coroutine's result, wherever this is called: in a thread of its own where a loop already runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="endpoint")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


async def _listed(line: Line, attempts: int) -> bytes | None:
    """The list of models as the server gives it; None where it has none."""
    gate = Gate()
    async with line.client(1) as client:
        for attempt in range(1, attempts + 1):
            try:
                return await line.ask(client, "/models", None, LARGEST_LIST)
            except EndpointError as error:
                raise EndpointRefused(str(error)) from None
            except Refused as error:
                refused = error
            if refused.status in (401, 403):
                raise EndpointRefused(key_refused(line, refused))
            if refused.status in (404, 405, 501):
                return None
            if not refused.passing:
                break
            if attempt < attempts:
                gate.shut_for(refused.wait)
                await gate.sleep(pause_before(attempt))
                await gate.passed()
    raise EndpointRefused(f"{line.url} does not answer: {refused}")


async def _refusal(line: Line, path: str, body: dict[str, Any]) -> Refused | None:
    """How an exchange is refused; None where it is not."""
    async with line.client(1) as client:
        try:
            await line.ask(client, path, body, LARGEST_LIST)
        except EndpointError as error:
            raise EndpointRefused(str(error)) from None
        except Refused as refused:
            return refused
    return None


def no_such(endpoint: Endpoint) -> str:
    """What HTTP 404 says."""
    return f"{endpoint.url} has no {endpoint.api} API, or no model {endpoint.model!r}"


def key_refused(line: Line, refused: Refused) -> str:
    """What to do about HTTP 401 or 403."""
    names = line.key_variables
    what = f"the key in {' or '.join(names)}" if line.key else f"requests without a key: set {names[0]}"
    return f"{line.url} refuses {what} ({refused})"


def _models(endpoint: Endpoint, data: bytes) -> dict[str, dict[str, Any]]:
    """The server's entry for each model, by the model's name."""
    try:
        value = parsed(data)
    except Unusable as error:
        raise EndpointRefused(
            f"{endpoint.url}/models: {error}; is it an OpenAI-compatible endpoint?"
        ) from None
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise EndpointRefused(f"{endpoint.url}/models names no models; is it OpenAI-compatible?")
    return {one["id"]: one for one in entries if isinstance(one, dict) and isinstance(one.get("id"), str)}
