"""Promises of every engine (tasks/generate/engine.py): replies in order, seeds fix texts, nothing is cut."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest

from flows.round.round import Round
from flows.writers.engines import closing_servers, engine_of, registered_endpoint
from schemas.engine import AnyEngine, Embedded, Endpoint, Vllm
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import embedded_engine
from tasks.generate.engine import Engine, PromptRefused
from tasks.generate.served.served import ServedEngine
from tasks.generate.vllm.probe import computed, probe_ids
from tasks.generate.vllm.vllm import VllmServer
from tasks.models.checkpoint import load_tokenizer
from tests.generate.test_vllm import STAND_IN
from tests.serving.asking import KEY, VLLM, endpoint, seeds, told
from tests.serving.peer import Peer
from tutor import BASE
from tutor.world import stories
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import Checkpoint

KINDS = [one.model_fields["kind"].default for one in get_args(get_args(AnyEngine)[0])]
QUESTIONS = [story.question for story in stories(11, 4)]
THREE = Sampling(samples=3, temperature=1.0, max_tokens=40)

AnySettings = Embedded | Endpoint | Vllm


@pytest.fixture
def in_process() -> AnySettings:
    return Embedded()


@pytest.fixture
def by_http(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> AnySettings:
    """The tutor behind an endpoint that is a vLLM server by its own word."""
    monkeypatch.setenv("RATCHET_API_KEY", KEY)
    peer.offers = VLLM
    return endpoint(peer, api="completions", tokenizer=str(BASE))


@pytest.fixture
def by_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnySettings:
    """A stand-in for vLLM whose texts follow from prompt and seed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "tables.json").write_text(json.dumps({str(BASE): computed(BASE, probe_ids(1024, 1024))}))
    return Vllm(command=(sys.executable, str(STAND_IN), str(tmp_path), "varied"))


def served(settings: AnySettings) -> Engine:
    assert isinstance(settings, Endpoint)
    return ServedEngine(settings, KEY)


def started(settings: AnySettings) -> Engine:
    assert isinstance(settings, Vllm)
    return VllmServer(settings).engine(BASE)


ENGINES: dict[str, tuple[str, Callable[[AnySettings], Engine]]] = {
    "embedded": ("in_process", lambda settings: embedded_engine(BASE)),
    "endpoint": ("by_http", served),
    "vllm": ("by_vllm", started),
}
"""Of each kind: the fixture of its settings, and the engine that they make of the tutor."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param not in ENGINES:
        pytest.fail(f"engine {request.param} is not held: add its settings to ENGINES of {__name__}")
    return str(request.param)


@pytest.fixture
def settings(kind: str, request: pytest.FixtureRequest) -> AnySettings:
    chosen_settings = request.getfixturevalue(ENGINES[kind][0])
    assert isinstance(chosen_settings, AnySettings)
    assert chosen_settings.kind == kind
    return chosen_settings


@pytest.fixture
def engine(kind: str, settings: AnySettings) -> Iterator[Engine]:
    made = ENGINES[kind][1](settings)
    yield made
    if isinstance(server := getattr(made, "_server", None), VllmServer):
        server.close()


def test_replies_are_in_order_whole_and_fixed_by_their_seeds(engine: Engine) -> None:
    heard: list[int] = []
    outputs = engine.generate(QUESTIONS, THREE, seeds(QUESTIONS), heard.append)
    assert [[(one.index, one.seed) for one in samples] for samples in outputs] == [
        [(index, seed + index) for index in range(3)] for seed in seeds(QUESTIONS)
    ]
    assert len({one.text for one in chain(*outputs)}) > 3
    assert sum(heard) == 3 * len(QUESTIONS)
    assert told(engine.generate(QUESTIONS, THREE, seeds(QUESTIONS))) == told(outputs)
    turned = engine.generate(QUESTIONS[::-1], THREE, seeds(QUESTIONS)[::-1])
    assert told(turned[::-1]) == told(outputs)
    one = THREE.model_copy(update={"samples": 1})
    assert engine.generate(QUESTIONS[:1], one, [1])[0][0].text == outputs[0][1].text, "sample i has seed + i"

    end = load_tokenizer(BASE).eos_token
    for sample in chain(*outputs):
        assert sample.finish_reason in {"stop", "length"}
        assert end not in sample.text
        assert sample.token_count is None or 1 <= sample.token_count <= THREE.max_tokens
        assert len(sample.token_ids) in {0, sample.token_count}
        assert len(sample.token_logprobs) in {0, sample.token_count}
        assert all(math.isfinite(one) and one <= 0 for one in sample.token_logprobs)
        assert sample.logprob_sum is None or (math.isfinite(sample.logprob_sum) and sample.logprob_sum <= 0)
        if sample.token_logprobs:
            assert sample.logprob_sum == pytest.approx(sum(sample.token_logprobs))


def test_what_cannot_be_put_is_refused_by_name_and_nothing_is_written(engine: Engine) -> None:
    heard: list[int] = []
    for wrong in ("long " * 2000, "half a pair \ud800"):
        with pytest.raises(PromptRefused) as refused:
            engine.generate([QUESTIONS[0], wrong, QUESTIONS[1], wrong], THREE, [0, 10, 20, 30], heard.append)
        assert refused.value.indices == (1, 3)
        assert "\n" not in str(refused.value)
        str(refused.value).encode()
    assert heard == []
    with pytest.raises(ValueError, match="2 prompts"):
        engine.generate(QUESTIONS[:2], THREE, [1])


def test_no_prompts_have_no_replies(engine: Engine) -> None:
    assert engine.generate([], THREE, []) == []


def test_a_round_gets_the_engine_that_its_recipe_names(settings: AnySettings, tmp_path: Path) -> None:
    log, lies_here = Log(Lake.create(tmp_path / "lake")), Checkpoint("ckpt-0", BASE, "0" * 64)
    made = []
    with closing_servers():
        for own in (Embedded(), settings):
            round_ = Round(log, "loop", 0, Rft(engine=own), lies_here, lies_here)
            writer = registered_endpoint(round_, own, "teacher") if isinstance(own, Endpoint) else lies_here
            made.append(engine_of(round_, writer, round_.unit("generate")))
        one = THREE.model_copy(update={"samples": 1})
        assert made[1].generate(QUESTIONS[:1], one, [0])[0][0].text
    assert (type(made[0]) is type(made[1])) == (settings.kind == "embedded")
