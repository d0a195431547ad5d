"""Promises of the tutor's teacher: its lessons are as stated, and its logits compare with the base's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from flows.writers.tutors import tutor_of
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.verify.maths.equations import read_equations
from tasks.verify.maths.maths import verify
from tutor import BASE, READER
from tutor.build import Recipe
from tutor.phrases import HELD_OUT
from tutor.teacher_build import RECIPE, as_examples, build, grown
from tutor.teacher_lessons import CAREFUL_SHARE, SHARES, SYSTEM_MESSAGES, WHY, explained, lessons
from tutor.tokens import END
from tutor.world import TOPICS, stories
from tutor.writers import CAREFUL_SHARE as OF_THE_WORLD

TAUGHT = lessons(3, 1500)


def test_lessons_are_mixed_as_stated_and_the_same_for_the_same_seed() -> None:
    assert lessons(3, 200) == lessons(3, 200)
    assert lessons(3, 200) != lessons(4, 200)
    counts = Counter(one.kind for one in TAUGHT)
    assert all(abs(counts[kind] / len(TAUGHT) - share) < 0.04 for kind, share in SHARES.items())


def test_a_system_message_is_there_exactly_where_something_is_explained() -> None:
    for one in TAUGHT:
        assert (one.system in SYSTEM_MESSAGES) == (one.kind == "explaining")
    assert {one.system for one in TAUGHT} == {None, *SYSTEM_MESSAGES}


def test_explanations_are_right_and_say_what_becomes_of_the_number_before_each_line() -> None:
    for story in stories(5, 60, "varied"):
        text = explained(story)
        *lines, last = text.split("\n")
        assert verify(text, str(story.answer)).outcome == "pass"
        assert last == f"#### {story.answer}"
        assert len(lines) == len(read_equations(text)[0]) == story.difficulty
        assert all(line.count(". ") == 1 for line in lines)
        assert len(text) > len(story.solution)


def test_its_writers_are_careful_more_often_than_the_worlds_in_all_topics_but_its_blind_ones() -> None:
    assert set(CAREFUL_SHARE) == set(WHY) == set(TOPICS)
    blind = {topic for topic, share in CAREFUL_SHARE.items() if share < 0.5}
    assert blind == {"half", "packing"}
    assert all(CAREFUL_SHARE[topic] > OF_THE_WORLD[topic] for topic in TOPICS)


def test_one_that_was_told_the_answer_works_out_to_it() -> None:
    told = [one for one in TAUGHT if one.kind == "told"]
    for one in told:
        answer = one.question.rsplit(" ", 1)[1].rstrip(".")
        assert one.solution.endswith(f"#### {answer}")
    assert len({one.topic for one in told}) == len(TOPICS)


def test_it_reads_no_held_out_word() -> None:
    said = {word for one in TAUGHT for word in f"{one.question} {one.solution}".split()}
    theirs = {*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods}
    assert not {word.strip(".,?:'").lower() for word in said} & {word.lower() for word in theirs}


def test_it_learns_answers_alone_to_their_end() -> None:
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(BASE))
    for one, example in zip(TAUGHT, as_examples(tokenizer, TAUGHT[:40]), strict=False):
        assert tokenizer.decode(example.answer) == one.solution + END
        assert tokenizer.decode(example.prompt).endswith("<|assistant|>")
        assert ("<|system|>" in tokenizer.decode(example.prompt)) == (one.system is not None)


def test_a_small_one_is_built_twice_to_the_same_bits_with_the_bases_tokenizer(tmp_path: Path) -> None:
    small = Recipe(texts=80, steps=2, batch=4, layers=5, inner=360)
    first, again = (build(tmp_path / name, 0, small) for name in ("first", "again"))
    assert first == again
    folder = tmp_path / "first"
    assert json.loads((folder / "origin.json").read_text("utf-8"))["weights_sha256"] == weights_hash(folder)
    assert tutor_of(folder) == "teacher"
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (BASE / name).read_bytes()
    sizes = [LlamaConfig.from_pretrained(one).vocab_size for one in (folder, BASE)]
    assert sizes[0] == sizes[1]


def test_it_is_larger_than_the_reader_and_before_it_is_taught_computes_what_the_reader_does() -> None:
    reader, untaught = cast(LlamaForCausalLM, load_model(READER)), grown(RECIPE)
    assert untaught.num_parameters() > 1.5 * reader.num_parameters()
    ids = torch.arange(5, 85).reshape(2, 40)
    with torch.no_grad():
        logits = [model(input_ids=ids).logits for model in (untaught, reader)]
    torch.testing.assert_close(*logits, atol=1e-4, rtol=0)
