"""Promises of the served engine, against a real server with the tutor behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pytest

from schemas.engine import Endpoint
from schemas.errors import BudgetSpent, EndpointError, EndpointRefused, RequestFailed
from schemas.recipe import Sampling
from tasks.generate.embedded import EmbeddedEngine
from tasks.generate.endpoint import check_endpoint
from tasks.generate.engine import PromptRefused, Sample
from tasks.generate.requests import Reply
from tasks.generate.served import ServedEngine
from tests.serving.peer import Answer, ById, Peer, changed, cuts, hangs, says, status
from tutor import BASE

KEY = "sk-a-key-that-nobody-may-see-0123456789"
FOUR = Sampling(samples=4, temperature=1.0, max_tokens=24)
ONE = Sampling(samples=1, temperature=1.0, max_tokens=24)
VLLM = {"owned_by": "vllm", "max_model_len": 256}


@pytest.fixture(scope="module")
def behind() -> ById:
    return ById(BASE, device="cpu")


@pytest.fixture
def peer(behind: ById) -> Iterator[Peer]:
    server = Peer(behind, key=KEY).start()
    yield server
    server.stop()


def served(peer: Peer, key: str | None = KEY, **more: object) -> ServedEngine:
    return ServedEngine(endpoint(peer, **more), key)


def endpoint(peer: Peer, **more: object) -> Endpoint:
    return Endpoint.model_validate({"url": peer.url, "model": "tutor", "retries": 3} | more)


def seeds(prompts: list[str]) -> list[int]:
    return [1000 * place for place in range(len(prompts))]


def told(samples: list[list[Sample]]) -> list[tuple[object, ...]]:
    return [(one.index, one.seed, one.text, one.finish_reason) for drawn in samples for one in drawn]


def replies(engine: ServedEngine, prompts: list[str], sampling: Sampling = ONE) -> list[Reply]:
    asks = engine.asks(prompts, [range(sampling.samples)] * len(prompts), seeds(prompts))
    return [reply for reply in engine.each(asks, sampling) if reply is not None]


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("offers", [{}, VLLM], ids=["plain", "vllm"])
def test_the_same_seeds_write_the_same_texts_as_in_process(
    peer: Peer, tutor: EmbeddedEngine, questions: list[str], api: str, offers: dict[str, object]
) -> None:
    peer.offers = offers
    some = questions[:4]
    more = {"tokenizer": str(BASE)} if api == "completions" else {}
    seen: list[int] = []
    found = served(peer, api=api, **more).generate(some, FOUR, seeds(some), seen.append)
    wanted = tutor.generate(some, FOUR, seeds(some))
    assert told(found) == told(wanted)
    for one, other in zip(chain(*found), chain(*wanted), strict=True):
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
    found = served(peer, timeout=1.0 if fault == "no answer" else 60.0).generate(some, ONE, seeds(some))
    assert told(found) == told(tutor.generate(some, ONE, seeds(some)))
    assert len(peer.asked) == 3


def test_retry_after_holds_for_every_request(peer: Peer, questions: list[str]) -> None:
    peer.faults = [status(429, Retry_After="1.2")]
    engine, start = served(peer, in_flight=1), time.monotonic()
    found = replies(engine, questions[:3])
    assert time.monotonic() - start >= 1.2
    assert sorted(reply.attempts for reply in found) == [1, 1, 2]


@pytest.mark.parametrize("code", [400, 413, 418, 422])
def test_a_request_that_fails_for_good_is_sent_once_and_is_no_text(
    peer: Peer, questions: list[str], code: int
) -> None:
    peer.poison = {questions[1][:30]: status(code, "I would rather not")}
    found = replies(served(peer), questions[:3])
    failed = [reply for reply in found if reply.error]
    assert [(one.ask.place, one.samples, one.status, one.attempts) for one in failed] == [(1, (), code, 1)]
    assert "I would rather not" in str(failed[0].error)
    assert all(reply.samples for reply in found if not reply.error)
    assert len(peer.asked) == 3
    with pytest.raises(RequestFailed, match="I would rather not"):
        served(peer).generate(questions[:3], ONE, seeds(questions[:3]))


def test_a_prompt_that_breaks_the_server_every_time_fails_alone(peer: Peer, questions: list[str]) -> None:
    peer.poison = {questions[0][:30]: status(500)}
    found = replies(served(peer, retries=1), questions[:3])
    assert {reply.ask.place: (reply.attempts, bool(reply.samples)) for reply in found} == {
        0: (2, False),
        1: (1, True),
        2: (1, True),
    }


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
        changed(lambda body: body | {"choices": [body["choices"][0] | {"finish_reason": "length"}]}),
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


def test_no_more_than_in_flight_are_sent_and_a_slow_taker_slows_them_down(
    peer: Peer, questions: list[str]
) -> None:
    peer.pause = 0.01
    engine = served(peer, in_flight=3)
    asks = engine.asks(questions, [range(2)] * len(questions), seeds(questions))
    taken = engine.each(asks, FOUR)
    assert next(reply for reply in taken if reply is not None).samples
    time.sleep(1.5)
    assert len(peer.asked) <= 1 + 2 * 3 + 1
    taken.close()
    before = len(peer.asked)
    time.sleep(0.3)
    assert len(peer.asked) == before, "nothing is sent any more"
    assert peer.most_busy <= 3


@pytest.mark.parametrize(
    "budget", [{"tokens": 1500}, {"money": 1.5, "input_price": 1000, "output_price": 1000}]
)
def test_the_budget_is_never_overspent_and_nearly_used(
    peer: Peer, questions: list[str], budget: dict[str, float]
) -> None:
    engine = served(peer, budget=budget, in_flight=4)
    found: list[Reply] = []

    def spend() -> None:
        asks = engine.asks(questions, [range(4)] * len(questions), seeds(questions))
        for reply in engine.each(asks, ONE):
            found.extend([reply] if reply is not None else [])

    with pytest.raises(BudgetSpent, match=r"engine\.budget\."):
        spend()
    assert peer.tokens == sum(reply.tokens for reply in found)
    assert 750 < peer.tokens <= 1500
    assert sum(len(reply.samples) for reply in found) == sum(peer.answered.values())


def test_an_attempt_whose_answer_never_came_counts_as_the_most_it_can_have_taken(
    peer: Peer, questions: list[str]
) -> None:
    peer.faults = [cuts]
    reply, *_ = replies(served(peer), questions[:1])
    assert reply.samples
    counted = (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)
    assert reply.tokens - counted == len(questions[0].encode()) + 256 + ONE.max_tokens
    peer.faults = [cuts] * 8
    engine = served(peer, budget={"tokens": 1200}, retries=7)
    with pytest.raises(BudgetSpent):
        replies(engine, questions[:1])
    assert sum(one.tokens for one in engine.unanswered) > 800
    assert len(peer.asked) < 7


def test_an_endpoint_that_cannot_be_used_is_refused_in_one_line_without_the_key(peer: Peer) -> None:
    dead = Endpoint(url="http://127.0.0.1:1/v1", model="tutor")
    refusals = {
        "does not answer: no connection": lambda: check_endpoint(dead, KEY),
        "refuses the key in RATCHET_API_KEY": lambda: check_endpoint(endpoint(peer), KEY + "!"),
        "set RATCHET_API_KEY": lambda: check_endpoint(endpoint(peer), None),
        "has no model 'gpt'; there is: tutor": lambda: check_endpoint(endpoint(peer, model="gpt"), KEY),
        "is it an OpenAI-compatible endpoint?": lambda: check_endpoint(
            endpoint(peer, url=peer.url + "/models/x"), KEY
        ),
    }
    peer.lists["/v1/models/x/models"] = says(b"<html>")
    for words, ask in refusals.items():
        with pytest.raises(EndpointRefused) as refused:
            ask()
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
        assert KEY not in str(refused.value)
    check_endpoint(endpoint(peer), KEY)
    check_endpoint(endpoint(peer, api="completions"), KEY)
    assert peer.asked == [], "nothing was asked for that costs"


def test_a_key_that_only_texts_need_is_refused_before_anything_is_asked_for(peer: Peer) -> None:
    peer.open_lists = True
    with pytest.raises(EndpointRefused, match="refuses the key"):
        check_endpoint(endpoint(peer), "sk-wrong")


def test_no_redirect_is_followed_so_that_the_key_goes_nowhere_else(
    peer: Peer, behind: ById, questions: list[str]
) -> None:
    other = Peer(behind).start()
    try:
        peer.lists["/v1/models"] = says(b"", 307, location=other.url + "/models")
        with pytest.raises(EndpointRefused, match="redirects"):
            served(peer)
        peer.lists.clear()
        peer.faults = [says(b"", 307, location=other.url + "/chat/completions")]
        with pytest.raises(EndpointError, match="redirects"):
            served(peer).generate(questions[:1], ONE, [0])
        assert other.seen == 0
    finally:
        other.stop()


def test_a_refusal_shows_the_server_s_words_without_the_key(peer: Peer, questions: list[str]) -> None:
    peer.poison = {questions[0][:30]: status(400, f"{'x' * 190} Bearer {KEY} \x1b[31m\n no")}
    found = replies(served(peer), questions[:2])
    (said,) = [str(reply.error) for reply in found if reply.error]
    assert said.isprintable()
    assert not any(KEY[:length] in said for length in range(6, len(KEY)))


def test_an_answer_that_holds_the_key_is_not_kept(peer: Peer, questions: list[str]) -> None:
    def leaks(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"choices": [body["choices"][0] | {"message": {"content": f"= {KEY}"}}]}

    peer.poison = {questions[0][:30]: changed(leaks)}
    found = replies(served(peer), questions[:2])
    assert [reply.ask.place for reply in found if reply.samples] == [1]
    assert all(KEY not in str(reply) for reply in found)


def test_leaving_early_ends_every_request(peer: Peer, questions: list[str]) -> None:
    peer.pause = 30.0
    engine = served(peer, in_flight=4)
    taken = engine.each(engine.asks(questions, [range(1)] * len(questions), seeds(questions)), ONE)
    assert list(islice(taken, 1)) == [None]
    start = time.monotonic()
    taken.close()
    assert time.monotonic() - start < 5
    assert len(engine.unanswered) == 4, "they may be charged for"
