"""Promises of the seeded tutor: its lessons and weights are as stated, and loops have other seed sets."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from tasks.invent.inventor import load_inventor
from tasks.models.checkpoint import weights_hash
from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric
from tasks.verify.maths.maths import verify
from tutor import BASE, SEEDED, SEEDED_READER, seeded_build, seeded_reader_build
from tutor.build import Recipe
from tutor.lessons import SHARES, lessons
from tutor.phrases import HELD_OUT, PRACTICE
from tutor.seeds import BLIND, answering, judging
from tutor.varied import VARIED
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
    assert not {lesson.question for _, lesson in lessons(0, seeded_build.RECIPE.texts // 8)} & set(texts)
    held_out = [story.question for story in stories(1, 300, "held-out")]
    assert not [one for one in held_out for text in texts if one in text]


def test_those_who_answer_are_as_mixed_as_the_worlds_writers() -> None:
    known = {story.question: story.answer for story in stories(_seed_of(answering(5, 400)), 400)}
    right = [
        verify(response, str(known[text])).outcome == "pass"
        for text, response in answering(5, 400).select("text", "response").iter_rows()
    ]
    assert 0.2 < sum(right) / len(right) < 0.6


@pytest.mark.parametrize(
    ("folder", "start", "recipe", "program"),
    [
        (SEEDED, BASE, seeded_build.RECIPE, "seeded_build"),
        (SEEDED_READER, SEEDED, seeded_reader_build.RECIPE, "seeded_reader_build"),
    ],
)
def test_the_shipped_seeded_tutors_are_the_ones_that_their_origins_state(
    folder: Path, start: Path, recipe: Recipe, program: str
) -> None:
    origin = json.loads((folder / "origin.json").read_text("utf-8"))
    assert weights_hash(folder) == origin["weights_sha256"]
    assert weights_hash(start) == origin["base"]
    assert origin["recipe"] == vars(recipe)
    assert origin["command"] == f"python -m tutor.{program} --seed {origin['seed']}"
    assert origin["rubric"] == STORY.label
    assert origin["inventor"] == load_inventor("story").label
    assert origin["corpus"]["shares"] == dict(SHARES)
    assert origin["corpus"]["blind_topics"] == sorted(BLIND)
    assert (folder / "model.safetensors").stat().st_size < 4_000_000


def test_the_seeded_readers_lessons_and_seed_sets_are_varied_and_hold_no_held_out_word() -> None:
    taught = [f"{lesson.question} {lesson.solution}" for _, lesson in lessons(0, 600, "varied")]
    shown = [text for drawn in (answering, judging) for text in drawn(1, 200, "varied")["text"]]
    theirs = {*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods}
    for texts in (taught, shown):
        said = {word.strip(".,?:|'") for text in texts for word in text.lower().split()}
        assert not said & {word.lower() for word in theirs}
        assert said & {name.lower() for name in set(VARIED.names) - set(PRACTICE.names)}
    assert not set(shown) & set(taught)
    assert not set(answering(1, 200, "varied")["text"]) & set(answering(1, 200)["text"])


def _seed_of(drawn: pl.DataFrame) -> int:
    return int(str(drawn["source"][0]).rpartition(":")[2])
