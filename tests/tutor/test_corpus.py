"""Promises of what the base reads: practice only, the same by seed, new names told alike throughout."""

from __future__ import annotations

import random
import re

from tutor.corpus import corpus, renamed
from tutor.phrases import HELD_OUT


def test_the_same_seed_gives_the_same_corpus() -> None:
    assert corpus(5, 300) == corpus(5, 300)
    assert corpus(5, 300) != corpus(6, 300)


def test_the_corpus_says_no_held_out_word() -> None:
    words = set(re.findall(r"\w+", " ".join(f"{w.question} {w.solution}" for w in corpus(0, 5000)).lower()))
    theirs = {*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods}
    assert not words & {word.lower() for word in theirs}


def test_a_made_up_name_is_the_same_in_question_and_solution() -> None:
    question = "Tom has 5 cards. Anna has 3 more cards than Tom. How many cards does Anna have now?"
    new_question, solved = renamed(question, "Now Anna has <<5+3=8>>8 cards.\n#### 8", random.Random(0))
    match = re.fullmatch(
        r"(?P<h>\w+) has 5 (?P<t>\w+)\. (?P<f>\w+) has 3 more (?P=t) than (?P=h)\. "
        r"How many (?P=t) does (?P=f) have now\?",
        new_question,
    )
    assert match
    assert solved == f"Now {match['f']} has <<5+3=8>>8 {match['t']}.\n#### 8"
    assert not {"Tom", "Anna", "cards"} & set(match.groups())
