"""Promises of the embedded engine in bfloat16: what of float32's holds there, and what does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.opening.proof import prove
from flows.steps.evaluate import further
from flows.writers.engines import text_settings
from schemas.engine import Embedded
from schemas.errors import ModelError, RecipeError
from schemas.recipes.parsing import validated, with_value
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Sampling
from tasks.generate.embedded import proof
from tasks.generate.embedded.embedded import EmbeddedEngine, embedded_engine
from tasks.generate.embedded.forward import SIXTEEN_BITS
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tests.generate.test_embedded import spaced
from tutor import BASE

FOUR = Sampling(samples=4, temperature=0.7, top_p=0.9, max_tokens=48)
HALF = Rft(engine=Embedded(dtype="bfloat16"))


@pytest.fixture(scope="module")
def half() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine(BASE, device="cpu", dtype=torch.bfloat16) as engine:
        yield engine


def plain(model: Any, engine: EmbeddedEngine, prompt: str, tokens: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of an answer's tokens by one pass."""
    ids = prompt_ids(engine.tokenizer, prompt)
    with torch.no_grad():
        logits = model(torch.tensor([[*ids, *tokens]])).logits[0, len(ids) - 1 : -1].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


def test_log_probabilities_on_record_are_those_of_the_type_that_drew(
    half: EmbeddedEngine, questions: list[str]
) -> None:
    """Nearer to a plain pass in bfloat16, on the whole, than to one in float32."""
    models = {dtype: load_model(BASE, dtype=dtype) for dtype in (torch.bfloat16, torch.float32)}
    apart: dict[torch.dtype, list[torch.Tensor]] = {dtype: [] for dtype in models}
    for prompt, (sample, *_) in zip(
        questions[:6], half.generate(questions[:6], FOUR, spaced(questions[:6])), strict=True
    ):
        for dtype, model in models.items():
            logprobs = plain(model, half, prompt, sample.token_ids)
            apart[dtype].append((logprobs - torch.tensor(sample.token_logprobs)).abs())
    own, other = (torch.cat(apart[dtype]) for dtype in models)
    assert own.mean() < 0.8 * other.mean()
    assert own.max() < 0.5


def test_the_same_call_draws_the_same_to_the_bit(half: EmbeddedEngine, questions: list[str]) -> None:
    first, again = (half.generate(questions[:8], FOUR, spaced(questions[:8])) for _ in range(2))
    assert first == again
    assert [[one.seed for one in samples] for samples in first] == [
        [s + i for i in range(4)] for s in spaced(questions[:8])
    ]


def test_one_answer_a_batch_is_the_same_whatever_else_is_asked_and_larger_batches_promise_nothing(
    questions: list[str],
) -> None:
    """The rule of float32 that draws again what noise could decide does not run here: it would hold too much
    for doubtful. A batch of one has nothing beside it.
    """
    with EmbeddedEngine(BASE, device="cpu", dtype=torch.bfloat16, rows=1) as alone:
        assert alone._workers.ask(lambda forward: forward.noise) == 0.0
        whole = alone.generate(questions[:4], FOUR, spaced(questions[:4]))
        parts = [
            alone.generate([q], FOUR, [s])[0]
            for q, s in zip(questions[:4], spaced(questions[:4]), strict=True)
        ]
    assert whole == parts


def test_what_is_drawn_is_proved_in_float32_and_held_in_bfloat16_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_proof = prove(BASE, dtype="bfloat16")
    assert any(
        re.search(r"drawn in bfloat16: .* nats from plain passes in it", line) for line in half_proof.remarks
    )
    assert half_proof.drawing is not None
    assert half_proof.drawing.deviation < 1e-3
    assert embedded_engine(BASE, PLAIN, "bfloat16") is not embedded_engine(BASE)
    monkeypatch.setattr(proof, "SIXTEEN_BITS", SIXTEEN_BITS / 1000)
    with (
        EmbeddedEngine(BASE, device="cpu", dtype=torch.bfloat16) as engine,
        pytest.raises(ModelError, match="cannot be drawn"),
    ):
        engine.prove()


def test_the_type_is_a_value_of_the_recipe_on_record_with_every_answer_and_in_the_suite() -> None:
    assert validated(Rft, with_value({}, "engine.dtype", "bfloat16"), "recipe") == HALF
    assert HALF.hash != Rft().hash
    assert Rft(engine=Embedded()).hash == Rft().hash
    assert Rft().model_dump(mode="json")["engine"] == {"kind": "embedded"}
    assert text_settings(HALF) == {"dtype": "bfloat16"}
    assert text_settings(Rft()) == {}
    assert further(HALF) != further(Rft()) == []
    with pytest.raises(RecipeError, match="'float32' or 'bfloat16'"):
        validated(Rft, with_value({}, "engine.dtype", "float16"), "recipe")
