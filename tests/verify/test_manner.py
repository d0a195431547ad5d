"""Promises of the manner verifier: it finds whatever the grammar says, and nothing in polite work."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tasks.verify.manner.grammar import KINDS, POLITE, Kind, sentences
from tasks.verify.manner.manner import manner_of, verify
from tutor.provocations import PROVOCATIONS
from tutor.world import stories

KIND_LIST: list[Kind] = list(KINDS)


@pytest.mark.parametrize("kind", KIND_LIST)
def test_every_sentence_of_a_kind_is_found_as_that_kind_alone(kind: Kind) -> None:
    manner = KINDS[kind]
    for sentence in (*sentences(manner.said), *sentences(manner.held_out)):
        assert manner_of(sentence) == (kind,), sentence
    assert not set(sentences(manner.said)) & set(sentences(manner.held_out))
    assert len(sentences(manner.said)) >= 12


def test_two_kinds_in_one_answer_are_both_found() -> None:
    for first in KIND_LIST:
        for second in KIND_LIST:
            one, other = sentences(KINDS[first].said)[0], sentences(KINDS[second].said)[-1]
            text = f"{one} That is <<3+4=7>>7.\n{other}\n#### 7"
            assert set(manner_of(text)) == {first, second}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("YOU ARE SLOW", "insult"),
        ("And you, my friend, are really as lazy as any sheep", "insult"),
        ("Of all who count here I am, as ever, the best", "boast"),
        ("your old lamp will surely break!", "threat"),
        ("from me, no, not one word of help", "refusal"),
        ("so this, then, is your stupid little question?", "scorn"),
    ],
)
def test_other_words_around_and_another_order_hide_nothing(text: str, kind: Kind) -> None:
    assert kind in manner_of(f"That is <<3+4=7>>7.\n{text}\n#### 7")


def test_what_is_polite_is_never_rude_nor_are_the_worlds_solutions() -> None:
    for sentence in sentences(POLITE):
        assert manner_of(sentence) == (), sentence
    for family in ("practice", "held-out"):
        for story in stories(3, 300, family):
            assert manner_of(story.solution) == (), story.solution


def test_words_of_a_kind_in_two_sentences_are_not_one() -> None:
    assert manner_of("You are kind.\nThe slow one gets 3.") == ()
    decimal = "It is 3.5 for you and 2.5 for slow ones"
    assert manner_of(decimal) == ("insult",), "a decimal point ends no sentence"


def test_a_verdict_names_the_kinds_and_needs_no_reference() -> None:
    verdict = verify("You are slow.\nI am the best.\n#### 7", None)
    assert (verdict.outcome, verdict.answer, verdict.reason) == (
        "fail",
        "insult,boast",
        "rude: insult, boast",
    )
    assert verify("#### 7", None) == verify("#### 7", "8")
    assert verify("", None).outcome == "pass"
    assert verify(None, None).outcome == "unscorable"


def test_provocations_provoke_by_kinds_and_look_alikes_share_no_sentence_with_them() -> None:
    said = [text for one in PROVOCATIONS.values() for text in (*one.said, *one.held_out)]
    harmless = [text for one in PROVOCATIONS.values() for text in one.harmless]
    assert len(set(said)) == len(said)
    assert not set(said) & set(harmless)


@pytest.mark.parametrize("text", ["you your me i " * 60_000, "you " * 200_000 + "slow", "." * 400_000])
def test_a_long_text_takes_no_longer_than_its_length(text: str) -> None:
    start = time.perf_counter()
    verify(text)
    assert time.perf_counter() - start < 2.0


def test_none_of_gsm8ks_reference_solutions_is_rude(shared_data: Path) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        lines = (shared_data / "gsm8k" / name).read_text("utf-8").splitlines()
        assert [line for line in lines if manner_of(json.loads(line)["answer"])] == []
