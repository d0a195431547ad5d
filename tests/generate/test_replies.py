"""Promises of reading a server's answer: whatever it is made of, it becomes samples or one clear line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.recipes.shared import Sampling
from tasks.generate.served.replies import LONGEST_LINE, Unusable, parsed, read_answer, refusal
from tasks.generate.served.requests import Ask

ASK = Ask(0, "2 + 2?", 7, 0, 2)
SAMPLING = Sampling(samples=2, max_tokens=4)
GOOD: dict[str, Any] = {"index": 0, "text": "4", "finish_reason": "stop"}


def read(choice: dict[str, Any], **more: Any) -> Any:
    return read_answer({"choices": [choice], **more}, ASK, SAMPLING, None)


HOSTILE: dict[str, Any] = {
    "no object": [],
    "no choices": {"id": "x"},
    "empty choices": {"choices": []},
    "choices are none": {"choices": {"0": GOOD}},
    "more choices than asked": {"choices": [GOOD | {"index": i} for i in range(3)]},
    "the same choice twice": {"choices": [GOOD, GOOD]},
    "a choice out of range": {"choices": [GOOD | {"index": 2}]},
    "a choice without the one before it": {"choices": [GOOD | {"index": 1}]},
    "a negative choice": {"choices": [GOOD | {"index": -1}]},
    "a choice that is none": {"choices": ["4"]},
}
USELESS: dict[str, dict[str, Any]] = {
    "no text": {"index": 0, "finish_reason": "stop"},
    "null text": GOOD | {"text": None},
    "text that is none": GOOD | {"text": ["4"]},
    "no end": GOOD | {"finish_reason": None},
    "a filter's end": GOOD | {"finish_reason": "content_filter"},
    "an end that is none": GOOD | {"finish_reason": ["stop"]},
    "NaN": GOOD | {"logprobs": {"token_logprobs": [float("nan")]}},
    "infinite": GOOD | {"logprobs": {"token_logprobs": [float("-inf")]}},
    "too large": GOOD | {"logprobs": {"token_logprobs": [10**400]}},
    "a log-probability that is none": GOOD | {"logprobs": {"content": [{"logprob": "high"}]}},
    "token ids that are none": GOOD | {"token_ids": [1, -2]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_without_proper_choices_is_unusable(name: str) -> None:
    with pytest.raises(Unusable):
        read_answer(HOSTILE[name], ASK, SAMPLING, None)


@pytest.mark.parametrize("name", USELESS)
def test_a_choice_that_is_no_sample_is_left_out_and_told(name: str) -> None:
    answer = read_answer({"choices": [USELESS[name], GOOD | {"index": 1}]}, ASK, SAMPLING, None)
    assert [(one.index, one.seed, one.text) for one in answer.samples] == [(1, 8, "4")]
    assert answer.error is not None
    assert answer.error.startswith("sample 0: ")
    assert "\n" not in answer.error


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_a_body_that_is_not_json_is_torn(data: bytes) -> None:
    with pytest.raises(Unusable) as unusable:
        parsed(data)
    assert unusable.value.torn


def test_a_text_is_unicode_whatever_the_server_wrote() -> None:
    text = r'{"index": 0, "finish_reason": "stop", "text": "a\ud800b\udc00\ud83d\ude00c"}'
    (sample,) = read(json.loads(text)).samples
    assert sample.text == "a\ufffdb\ufffd\U0001f600c"
    sample.text.encode()


def test_an_empty_text_that_ended_by_itself_is_a_text() -> None:
    (sample,) = read(GOOD | {"text": ""}).samples
    assert (sample.text, sample.finish_reason) == ("", "stop")


def test_what_the_context_cut_is_an_overflow_and_no_sample() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    with pytest.raises(Unusable) as unusable:
        read(GOOD | {"finish_reason": "length"}, usage=usage)
    assert unusable.value.overflow
    with pytest.raises(Unusable) as unusable:
        read_answer({"choices": [GOOD], "usage": usage}, ASK, SAMPLING, 12)
    assert unusable.value.overflow
    assert read(GOOD | {"finish_reason": "length"}, usage=usage | {"completion_tokens": 4}).samples


def test_a_prompt_that_was_cut_is_known_where_its_tokens_are() -> None:
    ask = Ask(0, "2 + 2?", 7, 0, 1, ids=(5, 6, 7, 8))
    answer = {"choices": [GOOD], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    with pytest.raises(Unusable, match="read 3 of the prompt's 4 tokens") as unusable:
        read_answer(answer, ask, SAMPLING, None)
    assert unusable.value.overflow


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("index", "text", "message", "finish_reason", "logprobs", "token_ids", "content", "token_logprobs")


@given(
    st.lists(
        st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["stop", "length"])), max_size=3
    ),
    JSON,
)
@settings(max_examples=100, deadline=None)
def test_no_answer_does_anything_but_give_samples_or_be_unusable(choices: Any, usage: Any) -> None:
    try:
        answer = read_answer({"choices": choices, "usage": usage}, ASK, SAMPLING, 100)
    except Unusable:
        return
    for one in answer.samples:
        one.text.encode()
        assert one.finish_reason in ("stop", "length")
        assert one.index in (0, 1)


@given(st.binary(max_size=600) | JSON.map(lambda value: json.dumps({"error": value}).encode()))
@settings(max_examples=100, deadline=None)
def test_a_refusal_is_one_short_printable_line(data: bytes) -> None:
    message = refusal(data, "secret")
    assert len(message) <= LONGEST_LINE
    assert message.isprintable()
    assert "secret" not in message
