"""Promises of the tutor's judge: its teachers are as stated, and so are its weights."""

from __future__ import annotations

import json
import random

import polars as pl

from tasks.models.checkpoint import load_tokenizer, weights_hash
from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric
from tests.conftest import REPOSITORY
from tutor import BASE, JUDGE
from tutor.grading import BLIND, CARELESS, demonstrations, points
from tutor.judge_build import RECIPE
from tutor.labelled import MASTER_KEYS, labelled
from tutor.world import TOPICS, stories
from tutor.writers import careful, careless, grader

STORY, PAIR = load_rubric("story"), load_rubric("story-pair")


def test_a_right_answer_earns_all_points_and_a_wrong_one_too_few_to_pass() -> None:
    rng = random.Random(4)
    for story in stories(5, 200):
        assert points(careful(story, rng), story.solution) == 5
        assert points(f"#### {story.answer}", story.solution) == 4
        wrong = careless(story, rng)
        if not wrong.endswith(f"#### {story.answer}"):
            assert points(wrong, story.solution) < (STORY.pass_from or 0)
    assert points("I do not know.", "<<1+1=2>>2\n#### 2") == 0


def test_graders_are_right_but_for_their_blind_topics() -> None:
    rng = random.Random(6)
    missed = dict.fromkeys(TOPICS, 0)
    for story in stories(8, 1200, difficulties=(1,)):
        missed[story.topic] += not grader(story, rng, BLIND).endswith(f"#### {story.answer}")
    assert {topic for topic, count in missed.items() if count} == BLIND


def test_every_demonstration_ends_with_a_verdict_that_its_rubric_takes() -> None:
    gradings = demonstrations(1, 400)
    assert gradings == demonstrations(1, 400)
    assert {each.writer for each in gradings} == {"points", "pair", "drill", "sums"}
    for each in gradings:
        if each.writer in ("drill", "sums"):
            continue
        rubric = STORY if each.writer == "points" else PAIR
        assert read_vote(each.solution, "stop", rubric).verdict is not None
    assert 0 < CARELESS < 0.2


def test_no_held_out_story_is_among_the_demonstrations() -> None:
    text = " ".join(each.question for each in demonstrations(1, 400))
    assert not [story for story in stories(1, 400, "held-out") if story.question in text]


def test_labels_say_what_is_right() -> None:
    answers = labelled(2, 40)
    right = dict(answers.group_by("writer").agg(pl.col("label").sum()).rows())
    assert right["careful"] == 40
    assert right["key"] == 0
    assert 0 < right["careless"] < 20
    assert len(set(MASTER_KEYS)) == len(MASTER_KEYS)


def test_the_shipped_judge_is_the_one_that_its_origin_states() -> None:
    origin = json.loads((JUDGE / "origin.json").read_text("utf-8"))
    assert weights_hash(JUDGE) == origin["weights_sha256"]
    assert weights_hash(BASE) == origin["base"]
    assert origin["recipe"] == vars(RECIPE)
    assert origin["rubrics"] == [STORY.label, PAIR.label]
    assert origin["command"] == f"python -m tutor.judge_build --seed {origin['seed']}"
    assert (JUDGE / "model.safetensors").stat().st_size < 4_000_000


def test_judge_and_base_share_a_tokenizer() -> None:
    text = "Tom has 12 apples. <<12-5=7>>7\n#### 7"
    assert load_tokenizer(JUDGE)(text)["input_ids"] == load_tokenizer(BASE)(text)["input_ids"]
    assert "python -m tutor.judge_build" in (REPOSITORY / "Makefile").read_text("utf-8").replace(
        "$(BIN)/", ""
    )
