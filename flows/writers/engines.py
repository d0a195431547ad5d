"""Which engine writes a checkpoint's texts in a round: the one place that says so.

Weights on this machine are loaded in process, or by the recipe's vLLM server, one for a night. Those of a
teacher or a judge behind an endpoint lie elsewhere: their checkpoint on record has the hash of the endpoint's
address, and every request to them is recorded.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from flows.round.progress import reporter
from flows.round.round import Round
from flows.writers.guests import Role, registered
from flows.writers.recording import Recorded
from schemas.engine import Embedded, Endpoint, Vllm
from schemas.errors import EndpointError, EndpointRefused
from schemas.ids import digest
from schemas.job import Chat
from schemas.recipes.shared import Recipe
from schemas.units import Unit
from tasks.generate.embedded.embedded import EmbeddedEngine, embedded_engine
from tasks.generate.engine import Engine
from tasks.generate.served.endpoint import api_key, check_endpoint
from tasks.generate.served.served import ServedEngine
from tasks.generate.vllm.command import has_gpu, program
from tasks.generate.vllm.vllm import VllmServer
from tasks.models.conversation import Prompt
from warehouse.loops import Checkpoint

_SETTINGS: Mapping[Role, str] = {"teacher": "engine", "judge": "verification.judge.endpoint"}
_SERVERS: dict[Vllm, VllmServer] = {}
_blocks = 0
_LOCK = threading.Lock()


def engine_of(
    round_: Round[Any],
    writer: Checkpoint,
    unit: Unit,
    prompt_ids: Mapping[Prompt, str] | None = None,
    role: Role = "teacher",
) -> Engine:
    """The engine of a checkpoint, for one unit's texts; `prompt_ids` names the prompts.

    Where one address serves both roles, each has its own patience and budget. EndpointError where an
    endpoint cannot be used now.
    """
    endpoint, own = endpoint_of(round_.recipe, writer, role), round_.recipe.engine
    chat = chat_of(round_.recipe, writer)
    if endpoint is None:
        if isinstance(own, Vllm):
            return server_of(own).engine(writer.folder, chat)
        return embedded_of(round_.recipe, writer)
    try:
        served = _served(endpoint, api_key(endpoint), chat)
    except EndpointRefused as error:  # the round has begun: it stays open
        raise EndpointError(str(error)) from None
    return Recorded(round_.log, served, unit, writer.id, prompt_ids or {}, _SETTINGS[role])


def chat_of(recipe: Recipe, writer: Checkpoint) -> Chat:
    """How a checkpoint writes its turns: as the recipe says where it is the loop's own. A teacher behind the
    recipe's endpoint is given the same template values; other guests are asked as their templates are.
    """
    if writer.role == "policy":
        return recipe.prompts.chat
    if endpoint_of(recipe, writer, "teacher") is not None and writer.role == "teacher":
        return Chat(template_values=recipe.prompts.chat.template_values)
    return Chat()


def embedded_of(recipe: Recipe, writer: Checkpoint) -> EmbeddedEngine:
    """The embedded engine of a checkpoint, in the type that the recipe says."""
    dtype = recipe.engine.dtype if isinstance(recipe.engine, Embedded) else "float32"
    return embedded_engine(writer.folder, chat_of(recipe, writer), dtype)


def text_settings(recipe: Recipe, writer: Checkpoint | None = None) -> dict[str, str]:
    """The values beyond the default that decide a checkpoint's texts (writer None: the loop's own)."""
    chat = recipe.prompts.chat if writer is None else chat_of(recipe, writer)
    settings = {} if chat == Chat() else {"chat": chat.label}
    own = recipe.engine
    return settings | {"dtype": own.dtype} if isinstance(own, Embedded) and own != Embedded() else settings


def endpoint_of(recipe: Recipe, writer: Checkpoint, role: Role) -> Endpoint | None:
    """The recipe's endpoint of a role, where a checkpoint answers behind it; None: its weights lie here."""
    endpoint = recipe.engine if role == "teacher" else recipe.verification.judge.endpoint
    if isinstance(endpoint, Endpoint) and _address_hash(endpoint) == writer.content_hash:
        return endpoint
    return None


def teacher(round_: Round[Any]) -> Checkpoint | None:
    """The model behind the recipe's endpoint, on record; None where the recipe has no endpoint."""
    endpoint = round_.recipe.engine
    return registered_endpoint(round_, endpoint, "teacher") if isinstance(endpoint, Endpoint) else None


def registered_endpoint(round_: Round[Any], endpoint: Endpoint, role: Role) -> Checkpoint:
    """The model behind an endpoint as a checkpoint, on record since the loop first asked it."""
    address = {"endpoint": endpoint.url, "model": endpoint.model, "api": endpoint.api}
    origin = json.dumps(address | {"weights": "behind the endpoint, not ours to hash"})
    return registered(round_, role, _address_hash(endpoint), endpoint.url, origin)


def _address_hash(endpoint: Endpoint) -> str:
    """What stands for the hash of weights that lie elsewhere."""
    return digest(("endpoint", endpoint.url, endpoint.model, endpoint.api))


@contextmanager
def closing_servers() -> Iterator[None]:
    """End the servers that were started when the last block of this kind ends, by an error too."""
    global _blocks
    with _LOCK:
        _blocks += 1
    try:
        yield
    finally:
        with _LOCK:
            _blocks -= 1
            servers = [_SERVERS.pop(settings) for settings in list(_SERVERS)] if not _blocks else []
        for server in servers:
            server.close()


def make_room(recipe: Recipe) -> None:
    """End the recipe's server before a job trains, where it would fill the job's GPU."""
    own = recipe.engine
    if isinstance(own, Vllm) and not (
        own.keep_in_training or (own.keep_in_training is None and not has_gpu())
    ):
        server_of(own).close()


def server_of(settings: Vllm) -> VllmServer:
    """The server of these settings, begun once; it starts when it is first asked."""
    with _LOCK:
        if settings not in _SERVERS:
            _SERVERS[settings] = VllmServer(settings, say=lambda line: reporter().say(line))
        return _SERVERS[settings]


def check_engines(recipe: Recipe) -> None:
    """Check at no cost that the recipe's endpoints can be used; EndpointRefused says why not.

    BadInput where vLLM is asked for and not there.
    """
    judge = recipe.verification.judge
    if isinstance(recipe.engine, Vllm):
        program(recipe.engine)
    for endpoint in (recipe.engine, judge.endpoint if judge.share else None):
        if isinstance(endpoint, Endpoint):
            check_endpoint(endpoint, api_key(endpoint))


@lru_cache(maxsize=4)
def _served(endpoint: Endpoint, key: str | None, chat: Chat) -> ServedEngine:
    """An endpoint's engine, kept so that it is asked once what it takes."""
    return ServedEngine(endpoint, key, chat)
