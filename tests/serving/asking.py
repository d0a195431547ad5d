"""What tests ask a peer for through the served engine."""

from __future__ import annotations

from schemas.engine import Endpoint
from schemas.recipes.shared import Sampling
from tasks.generate.engine import Sample
from tasks.generate.served.requests import Reply
from tasks.generate.served.served import ServedEngine
from tests.serving.peer import Peer

KEY = "sk-a-key-that-nobody-may-see-0123456789"
FOUR = Sampling(samples=4, temperature=1.0, max_tokens=24)
ONE = Sampling(samples=1, temperature=1.0, max_tokens=24)
VLLM = {"owned_by": "vllm", "max_model_len": 256}


def served(peer: Peer, key: str | None = KEY, **more: object) -> ServedEngine:
    return ServedEngine(endpoint(peer, **more), key)


def endpoint(peer: Peer, **more: object) -> Endpoint:
    return Endpoint.model_validate({"url": peer.url, "model": "tutor", "retries": 3} | more)


def seeds(prompts: list[str]) -> list[int]:
    return [1000 * place for place in range(len(prompts))]


def told(samples: list[list[Sample]]) -> list[tuple[object, ...]]:
    return [
        (one.index, one.seed, one.text, one.finish_reason)
        for prompt_samples in samples
        for one in prompt_samples
    ]


def replies(engine: ServedEngine, prompts: list[str], sampling: Sampling = ONE) -> list[Reply]:
    asks = engine.asks(prompts, [range(sampling.samples)] * len(prompts), seeds(prompts))
    return [reply for reply in engine.each(asks, sampling) if reply is not None]
