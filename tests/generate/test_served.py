"""Promises of the served engine, against a real server with the tutor behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.engine import Endpoint
from schemas.recipe import Sampling
from tasks.generate.embedded import EmbeddedEngine
from tasks.generate.served import ServedEngine
from tests.serving.peer import ById, Peer
from tutor import BASE

FOUR = Sampling(samples=4, temperature=1.0, max_tokens=48)
VLLM = {"owned_by": "vllm", "max_model_len": 256}


@pytest.fixture(scope="module")
def behind() -> ById:
    return ById(BASE, device="cpu")


@pytest.fixture
def peer(behind: ById) -> Iterator[Peer]:
    server = Peer(behind).start()
    yield server
    server.stop()


def served(peer: Peer, **more: object) -> ServedEngine:
    return ServedEngine(Endpoint.model_validate({"url": peer.url, "model": "tutor"} | more), key=peer.key)


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("offers", [{}, VLLM], ids=["plain", "vllm"])
def test_the_same_seeds_write_the_same_texts_as_in_process(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str], api: str, offers: dict[str, object]
) -> None:
    peer.offers = offers
    some, seeds = questions[:4], [1000 * i for i in range(4)]
    more = {"tokenizer": str(BASE)} if api == "completions" else {}
    found = served(peer, api=api, **more).generate(some, FOUR, seeds)
    wanted = tutor.generate(some, FOUR, seeds)
    for ours, theirs in zip(found, wanted, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one.index, one.seed, one.text, one.finish_reason, one.token_count) == (
                other.index,
                other.seed,
                other.text,
                other.finish_reason,
                other.token_count,
            )
            assert one.logprob_sum == pytest.approx(other.logprob_sum, abs=1e-4)
            assert one.token_ids == (other.token_ids if offers else ())
    assert len(peer.asked) == (4 if offers else 16)
