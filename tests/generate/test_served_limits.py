"""Promises of the served engine: what is in flight, what is spent, and what the key is shown to."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest

from schemas.engine import Endpoint
from schemas.errors import BudgetSpent, EndpointError, EndpointRefused
from tasks.generate.served.endpoint import check_endpoint
from tasks.generate.served.requests import Reply
from tests.serving.asking import FOUR, KEY, ONE, endpoint, replies, seeds, served
from tests.serving.peer import ById, Peer, changed, cuts, says, status


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
    outcomes: list[Reply] = []

    def spend() -> None:
        asks = engine.asks(questions, [range(4)] * len(questions), seeds(questions))
        for reply in engine.each(asks, ONE):
            outcomes.extend([reply] if reply is not None else [])

    with pytest.raises(BudgetSpent, match=r"engine\.budget\."):
        spend()
    assert peer.tokens == sum(reply.tokens for reply in outcomes)
    assert 750 < peer.tokens <= 1500
    assert sum(len(reply.samples) for reply in outcomes) == sum(peer.answered.values())


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
    outcomes = replies(served(peer), questions[:2])
    (message,) = [str(reply.error) for reply in outcomes if reply.error]
    assert message.isprintable()
    assert not any(KEY[:length] in message for length in range(6, len(KEY)))


def test_an_answer_that_holds_the_key_is_not_kept(peer: Peer, questions: list[str]) -> None:
    def leaks(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"choices": [body["choices"][0] | {"message": {"content": f"= {KEY}"}}]}

    peer.poison = {questions[0][:30]: changed(leaks)}
    outcomes = replies(served(peer), questions[:2])
    assert [reply.ask.place for reply in outcomes if reply.samples] == [1]
    assert all(KEY not in str(reply) for reply in outcomes)


def test_leaving_early_ends_every_request(peer: Peer, questions: list[str]) -> None:
    peer.pause = 30.0
    engine = served(peer, in_flight=4)
    taken = engine.each(engine.asks(questions, [range(1)] * len(questions), seeds(questions)), ONE)
    assert list(islice(taken, 1)) == [None]
    start = time.monotonic()
    taken.close()
    assert time.monotonic() - start < 5
    assert len(engine.unanswered) == 4, "they may be charged for"
