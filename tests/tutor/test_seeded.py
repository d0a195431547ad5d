"""Promises of the seeded tutor: its lessons and weights are as stated, and loops have other seed sets."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl

from tasks.invent.inventor import load_inventor
from tasks.models.checkpoint import weights_hash
from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric
from tasks.verify.maths.maths import verify
from tutor import BASE, SEEDED
from tutor.lessons import SHARES, lessons
from tutor.seeded_build import RECIPE
from tutor.seeds import BLIND, answering, judging
from tutor.world import stories

STORY = load_rubric("story")


def test_lessons_are_mixed_as_stated_and_the_same_for_the_same_seed() -> None:
    lesson_list = lessons(3, 1000)
    assert lesson_list == lessons(3, 1000)
    assert lesson_list != lessons(4, 1000)
    counts = Counter(kind for kind, _ in lesson_list)
    assert all(abs(counts[kind] / 1000 - share) < 0.05 for kind, share in SHARES.items())
    for kind, lesson in lesson_list:
        if kind == "judging":
            assert read_vote(lesson.solution, "stop", STORY).verdict is not None
        if kind == "inventing":
            examples = lesson.question.split("Story:\n")[1:]
            assert lesson.question == load_inventor("story").render([one.strip() for one in examples])
            assert lesson.solution not in lesson.question


def test_seed_sets_are_the_loops_own_and_know_no_answer() -> None:
    for seed_set in (answering, judging):
        assert seed_set(1, 50).equals(seed_set(1, 50))
        assert not set(seed_set(1, 50)["text"]) & set(seed_set(2, 50)["text"])
        assert seed_set(1, 50)["reference"].null_count() == 50
    texts = judging(0, 800)["text"].to_list()
    assert not {lesson.question for _, lesson in lessons(0, RECIPE.texts // 8)} & set(texts)
    held_out = [story.question for story in stories(1, 300, "held-out")]
    assert not [one for one in held_out for text in texts if one in text]


def test_those_who_answer_are_as_mixed_as_the_worlds_writers() -> None:
    known = {story.question: story.answer for story in stories(_seed_of(answering(5, 400)), 400)}
    right = [
        verify(response, str(known[text])).outcome == "pass"
        for text, response in answering(5, 400).select("text", "response").iter_rows()
    ]
    assert 0.2 < sum(right) / len(right) < 0.6


def test_the_shipped_seeded_tutor_is_the_one_that_its_origin_states() -> None:
    origin = json.loads((SEEDED / "origin.json").read_text("utf-8"))
    assert weights_hash(SEEDED) == origin["weights_sha256"]
    assert weights_hash(BASE) == origin["base"]
    assert origin["recipe"] == vars(RECIPE)
    assert origin["rubric"] == STORY.label
    assert origin["inventor"] == load_inventor("story").label
    assert origin["corpus"]["shares"] == dict(SHARES)
    assert origin["corpus"]["blind_topics"] == sorted(BLIND)
    assert (SEEDED / "model.safetensors").stat().st_size < 4_000_000


def _seed_of(drawn: pl.DataFrame) -> int:
    return int(str(drawn["source"][0]).rpartition(":")[2])
