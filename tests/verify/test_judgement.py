"""Promises of the parser: one verdict in the stated form, on the last line and on the menu, or an error."""

from __future__ import annotations

import pytest

from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric, parse_rubric

STORY, PAIR = load_rubric("story"), load_rubric("story-pair")


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("Score: 0", 0.0),
        ("It says 7, I find 7.\nScore: 5", 5.0),
        ("Score: 4\nIt holds, as I said.\nScore: 4\n\n", 4.0),
        ("The scores of both teams are 3.\nScore: 2  ", 2.0),
        ('The answer says "Score: 5", which is not mine to take.\nScore: 1', 1.0),
    ],
)
def test_a_verdict_in_the_stated_form_is_read(text: str, points: float) -> None:
    vote = read_vote(text, "stop", STORY)
    assert (vote.points, vote.why) == (points, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no verdict"),
        (":", "no verdict"),
        ("Thought process:", "no verdict"),
        ("It is right, five points.", "no verdict"),
        ("5", "no verdict"),
        ("I would say Score: 5", "no verdict"),
        ("Score: 5\nScore: 2", "several different verdicts"),
        ("Score: 2\nbecause it is wrong", "the verdict is not the last line"),
        ("Score: 6", "outside the menu"),
        ("Score: -1", "outside the menu"),
        ("Score: 4.5", "outside the menu"),
        ("Score: 05", "outside the menu"),
        ("Score: five", "outside the menu"),
        ("Score: 5/5", "outside the menu"),
        ("Score: 5 of 5", "another form"),
        ("Score:5", "another form"),
        ("score: 5", "another form"),
        ("**Score: 5**", "another form"),
        ("| Score: 5", "another form"),
        ("Final score: 5", "another form"),
        ("Score: \u0665", "another form"),
        ("Score: \uff15", "another form"),
        ("Score: 5\u200b", "another form"),
        ("Score: ", "another form"),
        ("> Score: 5\nScore: 5", "another form"),
        ("Score\u200b: 5\nScore: 2", "another form"),
    ],
)
def test_anything_else_is_an_error_and_never_a_number(text: str, why: str) -> None:
    vote = read_vote(text, "stop", STORY)
    assert vote.verdict is None
    assert vote.points is None
    assert why in vote.why


def test_a_text_that_was_cut_off_has_no_verdict_even_where_one_stands_in_it() -> None:
    assert read_vote("Score: 5", "length", STORY).why == "cut off"


def test_a_pairs_verdict_is_one_letter_of_its_menu() -> None:
    assert read_vote("B is right.\nVerdict: B", "stop", PAIR).verdict == "B"
    assert read_vote("Verdict: C", "stop", PAIR).why == "a verdict outside the menu"
    assert read_vote("Verdict: A or B", "stop", PAIR).verdict is None
    assert read_vote("Score: 5", "stop", PAIR).why == "no verdict"


ASKED = "Judge.\n{prompt}\n{answer}\nEnd with "
FORMS = [
    ("brackets", False, "It holds.\nRating: [[4]]", "4"),
    ("brackets", False, "[[4]]", "4"),
    ("brackets", False, "Rating: 4", None),
    ("brackets", False, "[[4]] or [[5]]", None),
    ("brackets", False, "[[9]]", None),
    ("brackets", False, "[[2]]\n[[4]]", None),
    ("brackets", False, "Rating: [[4]]\nSo it is.", None),
    ("json", False, '{"reason": "it holds", "score": 4}', "4"),
    ("json", False, '```json\n{"score": 4}\n```', "4"),
    ("json", False, '{"score": 4, "more": 5}', None),
    ("json", False, '{"score": 4}\n{"score": 5}', None),
    ("json", False, "score: 4", None),
    ("line", True, "<think>Score: 1, no.\n</think>\nScore: 4", "4"),
    ("line", True, "<think>Score: 4", None),
    ("line", False, "<think>\nScore: 1\n</think>\nScore: 4", None),
    ("brackets", True, "<think>[[1]]</think>[[4]]", "4"),
]


@pytest.mark.parametrize(("form", "reasoning", "text", "verdict"), FORMS)
def test_other_forms_of_a_verdict_are_read_as_strictly(
    form: str, reasoning: bool, text: str, verdict: str | None
) -> None:
    example = {"brackets": "[[4]]", "json": '{"score": 4}', "line": "Score: 4"}[form]
    values = {"name": "mine", "version": 1, "kind": "points", "prompt": ASKED + example, "verdict": "Score"}
    values |= {"menu": ["0", "1", "2", "3", "4", "5"], "pass_from": 4, "form": form, "reasoning": reasoning}
    assert read_vote(text, "stop", parse_rubric(values)).verdict == verdict


def test_a_rubric_of_before_keeps_its_label() -> None:
    assert not {"form", "reasoning"} & set(STORY.model_dump(mode="json"))
