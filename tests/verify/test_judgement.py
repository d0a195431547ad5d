"""Promises of the parser: one verdict in the stated form, on the last line and on the menu, or an error."""

from __future__ import annotations

import pytest

from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric

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
