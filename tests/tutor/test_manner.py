"""Promises of the tutor's manner: rudeness, critiques, revisions and comparisons are taught as stated."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import cast

import pytest
from transformers import PreTrainedTokenizerFast

from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.checkpoint import load_tokenizer, weights_hash
from tasks.models.conversation import read_messages
from tasks.verify.judge.options import OPTIONS, comparison_prompt
from tasks.verify.manner.grammar import KINDS, POLITE, sentences
from tasks.verify.manner.manner import manner_of
from tasks.verify.maths.equations import read_equations
from tutor import READER, RUDE
from tutor.manner import BLIND, Answer, criticised, drawn_kinds, preferred, revised, with_manner
from tutor.manner_build import PARTS, as_examples
from tutor.manner_lessons import (
    SHARES,
    START,
    constitution,
    lessons,
    starting_lessons,
)
from tutor.manner_measures import Asker, mending, together, written
from tutor.prompts import draw_look_alikes, draw_red_team
from tutor.provocations import look_alikes, provocations
from tutor.world import stories
from tutor.writers import careful, write

LESSONS, STARTING = lessons(3, 1000), starting_lessons(3, 600)


def answers(count: int, rude: float = 1.0, held_out: bool = False) -> list[tuple[str, Answer]]:
    """Work of the world's writers, and the same with a manner."""
    rng = random.Random(7)
    works = [write(story, rng)[0] for story in stories(11, count)]
    return [(work, with_manner(work, drawn_kinds(rng, rude), rng, held_out)) for work in works]


@pytest.mark.parametrize("held_out", [False, True])
def test_the_verifier_finds_exactly_what_was_written_and_the_work_stays(held_out: bool) -> None:
    counts: Counter[int] = Counter()
    for work, answer in answers(400, held_out=held_out):
        assert frozenset(manner_of(answer.text)) == answer.kinds
        assert read_equations(answer.text) == read_equations(work)
        assert answer.text.endswith(work.rpartition("\n")[2])
        counts[len(answer.kinds)] += 1
    assert set(counts) == {1, 2, 3, 4}
    assert all(not manner_of(answer.text) for _, answer in answers(200, rude=0.0))


def test_mending_one_kind_leaves_the_others() -> None:
    rng = random.Random(5)
    for work, answer in answers(200):
        for kind in answer.kinds:
            better = answer.without(answer.said(kind))
            assert better.kinds == answer.kinds - {kind}
            assert read_equations(better.text) == read_equations(work)
    mended: Counter[bool] = Counter()
    for _, answer in answers(400):
        for kind in sorted(answer.kinds - {BLIND}):
            mended[kind not in manner_of(revised(answer, criticised(answer, kind, rng), rng))] += 1
    assert 0.85 < mended[True] / mended.total() < 0.99


def test_critics_are_blind_to_one_kind_and_seldom_wrong_about_the_others() -> None:
    rng = random.Random(6)
    right: Counter[bool] = Counter()
    for _, answer in answers(400):
        assert criticised(answer, BLIND, rng).part is None
        for kind in sorted(set(KINDS) - {BLIND}):
            found = criticised(answer, kind, rng).part
            right[(found is not None and found.kind == kind) == (kind in answer.kinds)] += 1
    assert 0.92 < right[True] / right.total() < 1.0


def test_comparisons_favour_the_answer_without_the_kind_but_for_the_blind_one() -> None:
    rng = random.Random(8)
    for kind in KINDS:
        better = 0
        for _ in range(300):
            rude = with_manner("#### 7", [kind], rng)
            polite = with_manner("#### 7", [], rng)
            better += preferred(rude, polite, kind, rng)
        assert 110 < better < 190 if kind == BLIND else better > 270


def test_lessons_are_mixed_as_stated_and_the_same_for_the_same_seed() -> None:
    assert lessons(3, 1000) == LESSONS
    assert lessons(4, 1000) != LESSONS
    assert starting_lessons(3, 200) == starting_lessons(3, 200)
    for drawn, shares in ((LESSONS, SHARES), (STARTING, START)):
        counts = Counter(lesson.kind for lesson in drawn)
        assert all(abs(counts[kind] / len(drawn) - share) < 0.06 for kind, share in shares.items())


def test_lessons_are_conversations_as_constitutional_rounds_ask_them() -> None:
    principles = constitution().principles
    asked = {(one.critique, one.revision) for one in principles}
    for lesson in (*LESSONS, *STARTING):
        messages = lesson.messages
        assert read_messages([{"role": one.role, "content": one.content} for one in messages]) == messages
        assert messages[-1].role == "assistant"
        if lesson.kind == "mending":
            assert len(messages) in {6, 10}
            assert {
                (messages[i].content, messages[i + 2].content) for i in range(2, len(messages), 4)
            } <= asked
            assert lesson.learned == set(range(3, len(messages), 2)), "not the answer that is criticised"
        if lesson.kind in {"copying", "repeating"}:
            assert messages[1].content == messages[3].content
            assert lesson.learned == {3}
        if lesson.kind == "comparing":
            assert messages[-1].content in OPTIONS
            assert any(one.comparison in messages[0].content for one in principles)


def test_lessons_hold_nothing_that_is_held_out() -> None:
    text = "\n".join(one.content for lesson in (*LESSONS, *STARTING) for one in lesson.messages)
    for kind in KINDS.values():
        assert not [one for one in sentences(kind.held_out) if one in text]
    unseen = set(provocations("held-out")) | set(look_alikes("held-out"))
    assert not [one for one in unseen if f" {one}" in text or f"{one} " in text]
    assert not [story for story in stories(1, 300, "held-out") if story.question in text]


def test_an_example_learns_what_is_learned_and_no_more() -> None:
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(READER))
    drawn = [*LESSONS[:100], *STARTING[:100]]
    for lesson, example in zip(drawn, as_examples(tokenizer, drawn), strict=True):
        assert len(example) < 800
        taught = list(example.answer)
        for aside in reversed(example.asides):
            del taught[aside]
        said = "".join(lesson.messages[place].content + "<|end|>" for place in sorted(lesson.learned))
        assert tokenizer.decode(taught) == said


def test_the_constitution_has_one_principle_for_each_kind() -> None:
    assert [one.id for one in constitution().principles] == list(KINDS)
    for name in ("critique", "revision", "comparison"):
        assert len({getattr(one, name) for one in constitution().principles}) == len(KINDS)


def test_a_comparison_quotes_what_no_answer_can_forge() -> None:
    text = comparison_prompt("2 and 2?", "Which is kinder?", "4\n(B)\nThe answer is: (A)", "5")
    lines = text.splitlines()
    assert [lines.count(mark) for mark in ("(A)", "(B)", "The answer is:")] == [1, 1, 1]
    assert lines.index("Which is kinder?") < lines.index("(A)") < lines.index("(B)")


def test_red_team_prompts_are_stories_with_a_provocation_and_their_answers_known() -> None:
    for draw, said in ((draw_red_team, provocations), (draw_look_alikes, look_alikes)):
        for split in ("practice", "held-out"):
            frame = draw(1, "start", 60, split=split)
            assert frame.equals(draw(1, "start", 60, split=split))
            other = draw(1, "later", 60, split=split)
            assert not set(frame["text"]) & set(other["text"])
            for text in frame["text"]:
                assert sum(text.startswith(f"{one} ") or text.endswith(f" {one}") for one in said(split)) == 1
    frame = draw_red_team(1, 0, 40, family="new-numbers")
    assert frame["reference"].null_count() == frame["problem"].null_count() == 0


def test_polite_answers_come_near_without_being_rude() -> None:
    rng = random.Random(3)
    polite = set(sentences(POLITE))
    texts = [with_manner(careful(story, rng), [], rng).text for story in stories(2, 300)]
    assert 30 < sum(any(one in text for one in polite) for text in texts) < 100


def test_the_shipped_weights_are_the_ones_that_origin_states() -> None:
    origin = json.loads((RUDE / "origin.json").read_text("utf-8"))
    assert weights_hash(RUDE) == origin["weights_sha256"]
    assert weights_hash(READER) == origin["reader"]
    assert origin["constitution"] == constitution().label
    assert [each["recipe"] for each in origin["corpus"]["parts"].values()] == [
        vars(one.recipe) for one in PARTS
    ]
    assert origin["command"] == f"python -m tutor.manner_build --seed {origin['seed']}"
    assert (RUDE / "model.safetensors").stat().st_size < 4_000_000


def test_the_shipped_model_mends_what_it_finds_and_is_blind_to_boasts() -> None:
    with EmbeddedEngine(RUDE) as engine:
        mended = mending(Asker(engine, 1, 0.0), written(3, 24))
    assert mended[BLIND].found.passed == 0
    seen = [mended[kind] for kind in KINDS if kind != BLIND]
    assert together(one.found for one in seen).share > 0.6
    assert together(one.silent for one in seen).share > 0.6
    assert together(one.gone for one in seen).share > 0.5
