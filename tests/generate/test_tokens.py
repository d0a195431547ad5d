"""What a policy learns from is the sampler's own: its tokens, and their probabilities as they were drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from schemas.errors import BadInput
from schemas.recipes.shared import Sampling
from tasks.generate.candidates import candidate_rows
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.tokens import Remembering, token_rows
from tasks.models.rendering import prompt_ids
from tasks.train.reference import token_logprobs


def prompts(questions: list[str]) -> pl.DataFrame:
    ids = [f"prompt-00000-{number:024d}" for number in range(len(questions))]
    return pl.DataFrame({"prompt_id": ids, "split": ["train"] * len(ids), "text": questions})


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.5])
def test_probabilities_on_record_are_those_of_a_plain_pass_at_the_temperature_drawn_by(
    tutor: EmbeddedEngine, questions: list[str], temperature: float
) -> None:
    sampling = Sampling(samples=3, temperature=temperature, max_tokens=12)
    engine = Remembering(tutor)
    rows = candidate_rows(engine, prompts(questions[:3]), sampling, checkpoint_id="c", round_number=0, seed=0)
    tokens = token_rows(rows, engine.samples)
    assert tokens["candidate_id"].to_list() == rows["candidate_id"].to_list()
    assert tokens["token_ids"].list.len().to_list() == rows["token_count"].to_list()
    asked = [prompt_ids(tutor.tokenizer, question) for question in questions[:3] for _ in range(3)]
    answers = tokens["token_ids"].to_list()
    for column, warmth in (("logprobs", 1.0), ("tempered_logprobs", temperature)):
        if warmth == 1.0 and column != "logprobs":
            assert tokens[column].null_count() == tokens.height
            continue
        alone = token_logprobs(tutor.folder, asked, answers, warmth, batch=1)
        together = token_logprobs(tutor.folder, asked, answers, warmth, batch=9)
        for own, one, other in zip(tokens[column].to_list(), alone, together, strict=True):
            assert own == pytest.approx(one, abs=2e-4)
            assert one == pytest.approx(other, abs=2e-5)


def test_a_cut_leaves_the_probabilities_of_the_whole_distribution(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    how: dict[str, Any] = {"samples": 2, "temperature": 0.7, "max_tokens": 12, "top_k": 5, "top_p": 0.9}
    ((sample, _),) = tutor.generate(questions[:1], Sampling(**how), [3])
    asked = prompt_ids(tutor.tokenizer, questions[0])
    (whole,) = token_logprobs(tutor.folder, [asked], [sample.token_ids], 0.7)
    assert sample.tempered_logprobs == pytest.approx(whole, abs=2e-4)


def test_an_answer_whose_tokens_are_not_known_or_that_is_another_now_has_none(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    engine = Remembering(tutor)
    sampling = Sampling(samples=3, temperature=1.0, max_tokens=8)
    rows = candidate_rows(engine, prompts(questions[:1]), sampling, checkpoint_id="c", round_number=0, seed=0)
    first, second, third = engine.samples
    told = [first, replace(second, token_ids=(), tempered_logprobs=()), replace(third, text="another")]
    assert token_rows(rows, told)["candidate_id"].to_list() == rows["candidate_id"].to_list()[:1]
    with pytest.raises(BadInput, match="keeps the tokens that it drew"):
        token_rows(rows, [replace(one, tempered_logprobs=()) for one in engine.samples])
