"""Promises of stop strings, top-k, min-p and the repetition penalty: as transformers has them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from schemas.errors import EndpointError, RecipeError
from schemas.job import Chat
from schemas.recipes.parsing import validated
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Evaluation, Sampling
from tasks.evaluate.measure import suite_id
from tasks.generate.candidates import candidate_rows
from tasks.generate.embedded.choice import penalised
from tasks.generate.embedded.draw import draw_tokens, uniforms
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.served.served import ServedEngine
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tasks.verify.verifier import get_verifier
from tests.generate.test_embedded import PROMPTS, spaced, teacher_forced
from tests.serving.asking import KEY, VLLM, endpoint, seeds, served, told
from tests.serving.peer import Peer, status
from tutor import BASE

ALL = Sampling(
    samples=3, temperature=1.1, top_p=0.9, top_k=12, min_p=0.02, repetition_penalty=1.3, max_tokens=16
)


def test_a_draw_is_transformers_own_cut_of_the_penalised_distribution() -> None:
    rows, vocabulary = 500, 90
    source = torch.Generator().manual_seed(3)
    logits = torch.randn(rows, vocabulary, generator=source) * 3.0
    before = torch.randint(vocabulary, (rows, 20), generator=source)
    order: Any = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.4),
            TemperatureLogitsWarper(0.8),
            TopKLogitsWarper(10),
            TopPLogitsWarper(0.9),
            MinPLogitsWarper(0.05),
        ]
    )
    target = torch.softmax(order(before, logits.clone()), -1)
    chance = torch.from_numpy(uniforms(range(rows), 1)[0])
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, before, True)
    scores = penalised(logits, seen, 1.4)
    draw = draw_tokens(logits, chance, 0.8, 0.9, top_k=10, min_p=0.05, scores=scores)
    assert (target > 0).sum() < 10 * rows  # each of the cuts takes something
    expected = torch.searchsorted(target.cumsum(-1), chance[:, None], right=True)[:, 0]
    assert (draw.tokens == expected).float().mean() > 0.99  # sums of floats differ at an edge
    assert (target.gather(1, draw.tokens[:, None]) > 0).all()
    plain = logits.log_softmax(-1).gather(1, draw.tokens[:, None])[:, 0]
    assert torch.allclose(draw.logprobs, plain, atol=1e-5)


@pytest.mark.parametrize(
    "how",
    [{"top_k": 5}, {"min_p": 0.1}, {"top_k": 12, "min_p": 0.03}, {"top_k": 20, "top_p": 0.8, "min_p": 0.02}],
    ids=str,
)
def test_what_noise_could_change_of_a_cut_is_called_unsure_and_little_else(how: dict[str, Any]) -> None:
    count, noise, source = 4000, 1e-3, torch.Generator().manual_seed(1)
    logits = torch.randn(count, 90, generator=source) * 3.0
    chance = torch.from_numpy(uniforms(range(count), 1)[0])
    how = {"temperature": 0.9, "top_p": 1.0} | how
    draw = draw_tokens(logits, chance, noise=noise, **how)
    changed = torch.zeros(count, dtype=torch.bool)
    for _ in range(60):
        far = (torch.rand(logits.shape, generator=source) * 2.0 - 1.0) * noise
        changed |= draw_tokens(logits + far, chance, **how).tokens != draw.tokens
    assert changed.any()
    assert not (changed & ~draw.unsure).any()
    assert draw.unsure.float().mean() < 0.05


def test_greedy_with_a_penalty_is_transformers_own(tiny: EmbeddedEngine) -> None:
    sampling = Sampling(samples=1, temperature=0.0, repetition_penalty=1.5, max_tokens=24)
    model: Any = load_model(tiny.folder)
    end = tiny.tokenizer.eos_token_id
    for prompt, (sample,) in zip(PROMPTS, tiny.generate(PROMPTS, sampling, spaced(PROMPTS)), strict=True):
        ids = torch.tensor([prompt_ids(tiny.tokenizer, prompt)])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=24,
            repetition_penalty=1.5,
            eos_token_id=end,
            pad_token_id=end,
        )
        assert list(sample.token_ids) == out[0, ids.shape[1] :].tolist()


def test_a_sample_does_not_depend_on_its_batch_and_keeps_the_models_own_log_probabilities(
    tiny: EmbeddedEngine,
) -> None:
    whole = tiny.generate(PROMPTS, ALL, spaced(PROMPTS))
    alone = [tiny.generate([one], ALL, [seed])[0] for one, seed in zip(PROMPTS, spaced(PROMPTS), strict=True)]
    assert [[one.token_ids for one in samples] for samples in whole] == [
        [one.token_ids for one in samples] for samples in alone
    ]
    for prompt, samples in zip(PROMPTS, whole, strict=True):
        for sample in samples:
            assert sample.token_logprobs == pytest.approx(teacher_forced(tiny, prompt, sample), abs=1e-4)


def test_an_answer_ends_where_its_text_first_holds_a_stop_string(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    """Whichever tokens the string lies across, and whatever else is in the batch."""
    some, sampling = questions[:6], Sampling(samples=4, temperature=1.0, max_tokens=48)
    free = [one for samples in tutor.generate(some, sampling, seeds(some)) for one in samples]
    text = max((one.text for one in free), key=len)
    stop = (text[7:10], text[20:24], "never written")
    stopping = sampling.model_copy(update={"stop": stop})
    ended = [one for samples in tutor.generate(some, stopping, seeds(some)) for one in samples]
    crossing = 0
    for before, after in zip(free, ended, strict=True):
        places = [place for place in map(before.text.find, stop) if place >= 0]
        count = after.token_count
        assert count is not None
        assert after.token_ids == before.token_ids[:count]
        if not places:
            assert after == before
            continue
        assert (after.text, after.finish_reason) == (before.text[: min(places)], "stop")
        longer, shorter = (tutor.tokenizer.decode(after.token_ids[: count - less]) for less in (0, 1))
        assert any(one in longer for one in stop)
        assert not any(one in shorter for one in stop)
        crossing += not any(one in tutor.tokenizer.decode([after.token_ids[-1]]) for one in stop)
    assert crossing > 0
    small = EmbeddedEngine(BASE, rows=3, device="cpu").generate(some, stopping, seeds(some))
    assert told(small) == told([ended])


def test_a_stop_string_of_many_bytes_is_seen_when_its_last_byte_is(tiny: EmbeddedEngine) -> None:
    """One token a byte: what is decoded ends in the middle of a character again and again."""
    from tasks.generate.embedded.stops import Stops

    text = "a é😀b\n\nQ: c"
    ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    for stop in ("😀", "é😀b", "\n\nQ:", " é"):
        stops = Stops(tiny.tokenizer, (stop,))
        tokens, slot = torch.tensor(ids)[:, None], torch.tensor([0])
        ends = [bool(stops.completed(tokens[:n], slot)[0]) for n in range(1, len(ids) + 1)]
        first = len((text[: text.index(stop)] + stop).encode())
        assert ends.index(True) + 1 == first


@pytest.mark.parametrize(("api", "offers"), [("chat", {}), ("chat", VLLM), ("completions", VLLM)], ids=str)
def test_an_endpoint_is_asked_for_the_same(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str], api: str, offers: dict[str, object]
) -> None:
    peer.offers = offers
    some = questions[:3]
    (one, *_), *_ = tutor.generate(some, ALL, seeds(some))
    sampling = ALL.model_copy(update={"stop": (one.text[3:6],)})
    more = {"tokenizer": str(BASE)} if api == "completions" else {}
    actual = served(peer, api=api, **more).generate(some, sampling, seeds(some))
    assert told(actual) == told(tutor.generate(some, sampling, seeds(some)))
    sent = peer.asked[0]
    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (12, 0.02, 1.3)
    assert sent["stop"] == list(sampling.stop)
    assert sent.get("skip_special_tokens") == (False if offers else None)


def test_an_endpoint_that_lacks_a_value_is_told_in_one_line(peer: Peer, questions: list[str]) -> None:
    peer.poison = {"": status(400, "Unrecognized request argument supplied: top_k")}
    with pytest.raises(EndpointError, match=r"does not take sampling\.top_k .*leave it at its default$"):
        served(peer).generate(questions[:1], ALL, [0])


def test_an_endpoint_is_given_template_values_or_refuses_them_in_one_line(
    peer: Peer, questions: list[str]
) -> None:
    chat = Chat(template_values='{"enable_thinking":false}')
    ServedEngine(endpoint(peer), KEY, chat).generate(questions[:1], Sampling(samples=1, max_tokens=2), [0])
    assert peer.asked[-1]["chat_template_kwargs"] == {"enable_thinking": False}
    served(peer).generate(questions[:1], Sampling(samples=1, max_tokens=2), [0])
    assert "chat_template_kwargs" not in peer.asked[-1]
    peer.poison = {"": status(400, "Unrecognized request argument supplied: chat_template_kwargs")}
    with pytest.raises(EndpointError, match=r"does not take prompts\.chat_template_kwargs .*at its default$"):
        ServedEngine(endpoint(peer), KEY, chat).generate(questions[:1], ALL, [0])


def test_a_completions_endpoint_that_renders_nothing_is_given_no_template_values() -> None:
    engine = {"kind": "endpoint", "url": "http://localhost:1/v1", "model": "m", "api": "completions"}
    values = {"prompts": {"chat_template_kwargs": {"enable_thinking": False}}, "engine": engine}
    with pytest.raises(RecipeError, match=r"prompts\.chat_template_kwargs needs engine\.api chat"):
        validated(Rft, values, "recipe")
    validated(Rft, values | {"engine": engine | {"tokenizer": "folder"}}, "recipe")


def test_a_plain_request_says_nothing_of_them(peer: Peer, questions: list[str]) -> None:
    served(peer).generate(questions[:1], Sampling(samples=1, max_tokens=2), [0])
    assert {"stop", "top_k", "min_p", "repetition_penalty"}.isdisjoint(peer.asked[0])


def test_what_else_decided_a_draw_is_on_record_and_in_its_id(tutor: EmbeddedEngine) -> None:
    prompts = pl.DataFrame(
        {"prompt_id": ["prompt-00000-" + "0" * 24], "split": ["train"], "text": ["1 + 1 ="]}
    )

    def rows(**more: Any) -> pl.DataFrame:
        sampling = Sampling(samples=1, max_tokens=2, **more)
        return candidate_rows(tutor, prompts, sampling, checkpoint_id="c", round_number=0, seed=0)

    plain, cut = rows(), rows(stop="\n\n", top_k=3)
    assert plain["settings"].to_list() == [None]
    assert cut["settings"].to_list() == ['{"stop":["\\n\\n"],"top_k":3}']
    assert plain["candidate_id"][0] != cut["candidate_id"][0]
    suites = {suite_id(prompts, get_verifier("maths"), Evaluation(), more) for more in ((), ("x",))}
    assert len(suites) == 2


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"stop": [""]}, "at least 1 character"),
        ({"stop": ["x"] * 17}, "at most 16"),
        ({"top_k": 0}, "greater than 0"),
        ({"min_p": 1.5}, "less than or equal to 1"),
        ({"repetition_penalty": 0}, "greater than or equal to 0.1"),
    ],
    ids=str,
)
def test_values_out_of_bounds_are_refused_in_one_line(values: dict[str, Any], why: str) -> None:
    with pytest.raises(RecipeError, match=why) as refusal:
        validated(Rft, {"sampling": values}, "recipe")
    assert "\n" not in str(refusal.value)
