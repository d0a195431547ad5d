"""Promises of the served engine, against a real server with the tutor behind it: texts and faults."""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

import pytest

from schemas.errors import EndpointError, RequestFailed
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.engine import PromptRefused
from tests.serving.asking import FOUR, ONE, VLLM, replies, seeds, served, told
from tests.serving.peer import Answer, Peer, changed, cuts, hangs, leaves, says, status
from tutor import BASE


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("offers", [{}, VLLM], ids=["plain", "vllm"])
def test_the_same_seeds_write_the_same_texts_as_in_process(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str], api: str, offers: dict[str, object]
) -> None:
    peer.offers = offers
    some = questions[:4]
    more = {"tokenizer": str(BASE)} if api == "completions" else {}
    seen: list[int] = []
    actual = served(peer, api=api, **more).generate(some, FOUR, seeds(some), seen.append)
    expected = tutor.generate(some, FOUR, seeds(some))
    assert told(actual) == told(expected)
    for one, other in zip(chain(*actual), chain(*expected), strict=True):
        assert one.token_count == other.token_count
        assert one.logprob_sum == pytest.approx(other.logprob_sum, abs=1e-4)
        assert one.token_ids == (other.token_ids if offers else ())
    assert len(peer.asked) == (4 if offers else 16)
    assert sum(seen) == 16


def test_what_a_server_keeps_to_itself_is_absent_and_not_made_up(peer: Peer, questions: list[str]) -> None:
    def silent(body: dict[str, Any]) -> dict[str, Any]:
        return {"choices": body["choices"]}

    peer.logprobs, peer.faults = False, [changed(silent)]
    (sample,) = served(peer).generate(questions[:1], ONE, [5])[0]
    assert (sample.token_count, sample.logprob_sum, sample.token_ids, sample.token_logprobs) == (
        None,
        None,
        (),
        (),
    )


PASSING: dict[str, Answer] = {
    "429": status(429),
    "500": status(500),
    "503": status(503, Retry_After="0.2"),
    "cut": cuts,
    "no answer": hangs(1.5),
    "torn JSON": says(b'{"choices": ['),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_tried_again_and_changes_no_text(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str], fault: str
) -> None:
    peer.faults = [PASSING[fault]]
    some = questions[:2]
    actual = served(peer, timeout=1.0 if fault == "no answer" else 60.0).generate(some, ONE, seeds(some))
    assert told(actual) == told(tutor.generate(some, ONE, seeds(some)))
    assert len(peer.asked) == 3


def test_retry_after_holds_for_every_request(peer: Peer, questions: list[str]) -> None:
    peer.faults = [status(429, Retry_After="1.2")]
    engine, start = served(peer, in_flight=1), time.monotonic()
    outcomes = replies(engine, questions[:3])
    assert time.monotonic() - start >= 1.2
    assert sorted(reply.attempts for reply in outcomes) == [1, 1, 2]


@pytest.mark.parametrize("code", [400, 413, 418, 422])
def test_a_request_that_fails_for_good_is_sent_once_and_is_no_text(
    peer: Peer, questions: list[str], code: int
) -> None:
    peer.poison = {questions[1][:30]: status(code, "I would rather not")}
    outcomes = replies(served(peer), questions[:3])
    failed = [reply for reply in outcomes if reply.error]
    assert [(one.ask.place, one.samples, one.status, one.attempts) for one in failed] == [(1, (), code, 1)]
    assert "I would rather not" in str(failed[0].error)
    assert all(reply.samples for reply in outcomes if not reply.error)
    assert len(peer.asked) == 3
    with pytest.raises(RequestFailed, match="I would rather not"):
        served(peer).generate(questions[:3], ONE, seeds(questions[:3]))


def test_a_prompt_that_breaks_the_server_every_time_fails_alone(peer: Peer, questions: list[str]) -> None:
    peer.poison = {questions[0][:30]: status(500)}
    outcomes = replies(served(peer, retries=1), questions[:3])
    assert {reply.ask.place: (reply.attempts, bool(reply.samples)) for reply in outcomes} == {
        0: (2, False),
        1: (1, True),
        2: (1, True),
    }


HOSTILE: dict[str, Answer] = {
    "huge": says(b"[" * 2**21),
    "packed": says(b"{}", **{"content-encoding": "gzip"}),
    "deep": says(b"[" * 100_000),
    "no choices": says({"choices": []}),
    "NaN": says(
        b'{"choices": [{"text": "4", "finish_reason": "stop", "logprobs": {"token_logprobs": [NaN]}}]}'
    ),
    "no answer at all": leaves,
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_answer_fails_its_request_in_one_line_and_no_other(
    peer: Peer, questions: list[str], fault: str
) -> None:
    peer.poison = {questions[0][:30]: HOSTILE[fault]}
    outcomes = {reply.ask.place: reply for reply in replies(served(peer, retries=0), questions[:3])}
    assert (outcomes[0].samples, outcomes[0].final, bool(outcomes[0].error)) == ((), True, True)
    assert str(outcomes[0].error).isprintable()
    assert outcomes[1].samples
    assert outcomes[2].samples


def test_an_endpoint_that_gives_out_ends_the_call_and_fails_no_request(
    peer: Peer, questions: list[str]
) -> None:
    peer.poison = {"": status(500)}
    engine = served(peer, in_flight=2, retries=0)
    with pytest.raises(EndpointError, match="answered none of 10 requests in a row"):
        replies(engine, questions)
    assert len(engine.unanswered) >= 10
    assert not any(reply.final for reply in engine.unanswered)


def test_a_server_that_takes_no_n_is_asked_for_each_sample_alone(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str]
) -> None:
    peer.offers, peer.n_is_ignored = VLLM, True
    some = questions[:2]
    assert told(served(peer).generate(some, FOUR, seeds(some))) == told(
        tutor.generate(some, FOUR, seeds(some))
    )
    assert max(peer.answered.values()) == 1


def test_fields_that_a_server_refuses_are_left_out_or_renamed(peer: Peer, questions: list[str]) -> None:
    peer.faults = [
        status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        status(400, "Unrecognized request argument supplied: logprobs"),
    ]
    (sample,) = served(peer).generate(questions[:1], ONE, [5])[0]
    assert sample.logprob_sum is None
    assert peer.asked[-1]["max_completion_tokens"] == 24
    assert not {"max_tokens", "logprobs"} & set(peer.asked[-1])
    peer.faults = [status(400, "'temperature' does not support 1.0 with this model")]
    with pytest.raises((RequestFailed, EndpointError), match="temperature"):
        served(peer).generate(questions[:1], ONE, [5])


def test_an_overflow_is_refused_and_nothing_is_cut(peer: Peer, questions: list[str]) -> None:
    long = "7 " * 400
    peer.offers = {"owned_by": "vllm", "max_model_len": 256}
    with pytest.raises(PromptRefused) as refused:
        served(peer, api="completions", tokenizer=str(BASE)).generate([questions[0], long], ONE, [0, 1])
    assert refused.value.indices == (1,)
    assert peer.asked == [], "refused before anything was sent"
    peer.offers = {"owned_by": "vllm", "max_model_len": 40}
    with pytest.raises(PromptRefused, match="do not fit the model's context of 40"):
        served(peer).generate(questions[:1], ONE, [0])


@pytest.mark.parametrize(
    "fault",
    [
        status(400, "This model's maximum context length is 60 tokens."),
        changed(
            lambda body: {
                "choices": [body["choices"][0] | {"finish_reason": "length"}],
                "usage": {"prompt_tokens": 35, "completion_tokens": 5},
            }
        ),
    ],
    ids=["said", "silent"],
)
def test_an_overflow_is_known_by_what_the_server_says_and_by_what_it_cuts(
    peer: Peer, questions: list[str], fault: Answer
) -> None:
    peer.poison = {questions[1][:30]: fault}
    overflow = [reply for reply in replies(served(peer), questions[:2]) if reply.overflow]
    assert [(one.ask.place, one.samples) for one in overflow] == [(1, ())]
    with pytest.raises(PromptRefused) as refused:
        served(peer).generate(questions[:2], ONE, [0, 1000])
    assert refused.value.indices == (1,)
