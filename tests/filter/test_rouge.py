"""Promises of ROUGE-L: the F of the rouge-score library on any words, whatever else is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tasks.filter.rouge import Nearest, Texts, words
from tutor.world import stories

SCORER = RougeScorer(["rougeL"], use_stemmer=False)


def reference(a: str, b: str) -> float:
    return float(SCORER.score(a, b)["rougeL"].fmeasure)


@st.composite
def texts_of_few_words(draw: st.DrawFn) -> list[str]:
    """Texts over so small a vocabulary that they share words often and repeat them."""
    vocabulary = draw(st.lists(st.text("ab1-İ'é \n", min_size=1, max_size=3), min_size=1, max_size=5))
    lines = st.lists(st.sampled_from(vocabulary), max_size=30).map(" ".join)
    return draw(st.lists(lines, min_size=1, max_size=12))


@settings(max_examples=150, deadline=None)
@given(texts_of_few_words(), st.text(max_size=40), st.data())
def test_the_nearest_and_its_f_are_those_of_rouge_score(
    texts: list[str], other: str, data: st.DataObject
) -> None:
    text = data.draw(st.sampled_from([*texts, f"{texts[0]} {other}", other]))
    expected = [reference(one, text) for one in texts]
    match = nearest(texts, text)
    assert (0.0 if match is None else match.f) == pytest.approx(max(expected), abs=1e-12)
    if match is not None:
        assert expected[match.place] == pytest.approx(max(expected), abs=1e-12)
        assert all(f < match.f - 1e-12 for f in expected[: match.place]), "the first of several"


def nearest(texts: list[str], text: str) -> Nearest | None:
    (match,) = Texts(texts).nearest([text])
    return match


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_what_else_is_asked_changes_no_answer(seed: int, at_once: int) -> None:
    draw = np.random.default_rng(seed)
    corpus = [" ".join(map(str, draw.integers(0, 12, draw.integers(0, 90)))) for _ in range(40)]
    old, new = Texts(corpus[:25]), corpus[20:]
    together = old.nearest(new)
    assert old.nearest(new, at_once=at_once) == together
    assert [nearest(corpus[:25], text) for text in new] == together
    f = old.f(new)
    assert [0.0 if one is None else one.f for one in together] == f.max(axis=1).tolist()
    assert (f[:5] == Texts(new[:5]).f(corpus[:25]).T).all(), "F is the same both ways"


def test_a_text_without_words_is_like_nothing_and_no_texts_are_like_none() -> None:
    assert Texts([]).nearest(["a story", ""]) == [None, None]
    assert Texts(["a story"]).nearest([]) == []
    assert Texts([]).f([]).shape == (0, 0)
    assert nearest(["", "…", "a b"], "日本語") is None
    assert nearest(["", "…"], "a") is None
    assert words("It\u2019s 3½ — İx") == ["it", "s", "3", "i", "x"]


def test_exactly_seven_tenths_is_seven_tenths() -> None:
    """rouge-score's own last digit depends on the lengths; here a share is rounded once."""
    for count in (10, 20, 30, 70):
        same = [f"w{i}" for i in range(count * 7 // 10)]
        left = same + [f"l{i}" for i in range(count - len(same))]
        right = same + [f"r{i}" for i in range(count - len(same))]
        match = nearest([" ".join(left)], " ".join(right))
        assert match is not None
        assert match.f == 0.7


def test_longer_texts_and_words_beyond_256_make_no_difference() -> None:
    draw = np.random.default_rng(4)
    corpus = [" ".join(f"w{n}" for n in draw.integers(0, 700, 900)) for _ in range(6)]
    expected = [reference(one, corpus[5]) for one in corpus[:5]]
    match, same = Texts(corpus[:5]).nearest([corpus[5], corpus[3]])
    assert match is not None
    assert match.f == pytest.approx(max(expected), abs=1e-12)
    assert same == Nearest(3, 1.0)


def test_on_the_tutors_stories_every_decision_is_that_of_rouge_score() -> None:
    questions = [story.question for story in stories(11, 160)]
    for text, match in zip(questions[150:], Texts(questions[:150]).nearest(questions[150:]), strict=True):
        expected = [reference(one, text) for one in questions[:150]]
        assert match is not None
        assert match.f == pytest.approx(max(expected), abs=1e-12)


def test_near_duplicates_of_self_instructs_seeds_are_found(shared_data: Path) -> None:
    file = shared_data / "self-instruct" / "seed_tasks.jsonl"
    if not file.is_file():
        pytest.skip(f"no Self-Instruct seeds at {file}")
    seeds = [json.loads(line)["instruction"] for line in file.read_text("utf-8").splitlines()]
    index = Texts(seeds)
    for place, seed in enumerate(seeds):
        seed_words = words(seed)
        if len(seed_words) < 10:
            continue
        changed = " ".join([*seed_words[:3], "instead", *seed_words[4:]]).upper() + "!"
        (match,) = index.nearest([changed])
        assert match is not None
        assert match.f > 0.7
        assert match.f == pytest.approx(max(reference(seed, changed) for seed in seeds), abs=1e-12)
        assert words(seeds[match.place]) == seed_words or match.place == place
