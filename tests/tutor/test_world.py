"""Promises of the practice world: same seed, same stories; two families that never meet; right answers."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from tutor.phrases import HELD_OUT, PRACTICE, Family
from tutor.varied import VARIED, expanded
from tutor.world import LARGEST, SMALLEST, TOPICS, Story, is_reserved, stories

SEEDS = (0, 1, 7, 2024, 99_991)
EACH = 4_000
EQUATION = re.compile(r"<<(\d+)([-+*/])(\d+)=(\d+)>>(\d+)")


@pytest.fixture(scope="module")
def practice() -> list[Story]:
    """20,000 practice stories across several seeds, with harder ones among them."""
    return [s for seed in SEEDS for s in stories(seed, EACH, difficulties=(1, 2, 3, 4))]


@pytest.fixture(scope="module")
def varied() -> list[Story]:
    """8,000 stories of practice in many more words."""
    return [s for seed in SEEDS[:2] for s in stories(seed, EACH, "varied", (1, 2, 3, 4))]


@pytest.fixture(scope="module")
def held_out() -> list[Story]:
    return [s for seed in SEEDS for s in stories(seed, 600, "held-out", (1, 2, 3, 4))]


def words_of(template: str) -> set[str]:
    """The lower-case words of a template outside its slots."""
    text = " ".join(literal for literal, *_ in Formatter().parse(template))
    return set(re.findall(r"[a-z]+", text.lower()))


SLOTS = {"n": r"\d+", "x": r"\d+", "e": r"<<[\d=*/+-]+>>\d+"}


def as_pattern(template: str) -> str:
    """A template as a pattern of the texts it makes, its other slots being a word each."""
    return "".join(
        re.escape(literal) + ("" if slot is None else SLOTS.get(slot, r"\w+"))
        for literal, slot, *_ in Formatter().parse(template)
    )


def test_the_same_seed_tells_the_same_stories() -> None:
    assert stories(3, 500) == stories(3, 500)
    assert stories(3, 500)[:100] == stories(3, 100)


def test_another_seed_tells_other_stories() -> None:
    first, second = ({s.question for s in stories(seed, 1000)} for seed in (3, 4))
    assert len(first & second) < 50


def test_no_question_comes_twice_in_a_call() -> None:
    tales = stories(5, 5000, difficulties=(1,))
    assert len({s.question for s in tales}) == 5000


def test_every_topic_and_difficulty_is_told_in_every_family() -> None:
    families: tuple[Family, ...] = ("practice", "varied", "new-numbers", "held-out")
    for family in families:
        tales = stories(0, 600, family, (1, 2, 3, 4, 5))
        assert {s.topic for s in tales} == set(TOPICS)
        assert {s.difficulty for s in tales} == {1, 2, 3, 4, 5}
        assert all(len(s.steps) == s.difficulty and s.family == family for s in tales)


def test_every_reference_equation_holds_and_the_answer_is_the_last_result(
    practice: list[Story], held_out: list[Story]
) -> None:
    compute = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}
    for story in practice[::7] + held_out[::7]:
        *lines, last = story.solution.split("\n")
        assert last == f"#### {story.answer}"
        assert len(lines) == story.difficulty
        for line in lines:
            (a, sign, b, claimed, result), *others = EQUATION.findall(line)
            assert not others
            assert compute[sign](int(a), int(b)) == int(claimed) == int(result)
            assert sign != "/" or int(a) % int(b) == 0
            assert SMALLEST <= int(claimed) <= LARGEST
        assert int(result) == story.answer


def test_a_question_says_every_number_it_needs(practice: list[Story]) -> None:
    for story in practice[::7]:
        numbers = [int(number) for number in re.findall(r"\d+", story.question)]
        implied = [s.move.number for s in story.steps if s.topic in ("doubling", "half")]
        assert sorted(numbers + implied) == sorted(story.numbers)


def test_no_held_out_question_or_solution_is_ever_practised(
    practice: list[Story], held_out: list[Story]
) -> None:
    assert not {s.question for s in practice} & {s.question for s in held_out}
    assert not {s.solution for s in practice} & {s.solution for s in held_out}


def test_no_held_out_topic_with_its_numbers_is_ever_practised(
    practice: list[Story], held_out: list[Story]
) -> None:
    combinations = {(s.topic, s.numbers) for s in held_out}
    assert len(combinations) > 1000
    assert not {(s.topic, s.numbers) for s in practice} & combinations
    assert all(is_reserved(topic, numbers) for topic, numbers in combinations)


def test_new_numbers_are_told_in_the_words_of_practice(practice: list[Story]) -> None:
    tales = stories(3, 600, "new-numbers")
    assert all(is_reserved(story.topic, story.numbers) for story in tales)
    assert not {story.question for story in tales} & {story.question for story in practice}
    names = {name for story in tales for name in PRACTICE.names if name in story.question}
    assert names == set(PRACTICE.names)


def test_no_held_out_phrasing_occurs_in_practice(practice: list[Story]) -> None:
    assert not set(PRACTICE.templates()) & set(HELD_OUT.templates())
    sentences = {
        sentence for s in practice for sentence in re.split(r"(?<=[.?])[ \n]", f"{s.question}\n{s.solution}")
    }
    # A template of two sentences counts as used where both are: its first one is looked for.
    templates = [re.split(r"(?<=[.?]) ", template)[0] for template in HELD_OUT.templates()]
    used = re.compile("|".join(f"(?:{as_pattern(template)})" for template in templates))
    assert [sentence for sentence in sentences if used.fullmatch(sentence)] == []


def test_the_search_for_phrasings_finds_them_where_they_are(held_out: list[Story]) -> None:
    templates = [re.split(r"(?<=[.?]) ", template)[0] for template in HELD_OUT.questions]
    pattern = re.compile("|".join(f"(?:{as_pattern(template)})" for template in templates))
    for story in held_out[:100]:
        assert pattern.fullmatch(re.split(r"(?<=[.?])[ \n]", story.question)[-1])


def test_no_name_or_thing_is_in_both_families(practice: list[Story]) -> None:
    mine, theirs = ({*p.names, *p.things, *p.containers, *p.goods} for p in (PRACTICE, HELD_OUT))
    assert not mine & theirs
    words = set(re.findall(r"\w+", " ".join(s.question + " " + s.solution for s in practice)))
    assert not words & theirs


def test_every_held_out_word_can_be_learned_in_practice() -> None:
    known = set().union(*map(words_of, PRACTICE.templates()))
    assert set().union(*map(words_of, HELD_OUT.templates())) <= known


def test_varied_stories_say_every_number_and_none_that_is_reserved(varied: list[Story]) -> None:
    for story in varied[::7]:
        said = [int(number) for number in re.findall(r"\d+", story.question)]
        implied = [s.move.number for s in story.steps if s.topic in ("doubling", "half")]
        assert {*said, *implied} == set(story.numbers)
    assert not any(is_reserved(story.topic, story.numbers) for story in varied)


def test_varied_stories_say_nothing_that_is_held_out(varied: list[Story]) -> None:
    assert not set(VARIED.templates()) & set(HELD_OUT.templates())
    theirs = {*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods}
    said = set(re.findall(r"\w+", " ".join(s.question + " " + s.solution for s in varied)))
    assert not said & theirs
    sentences = {sentence for s in varied for sentence in re.split(r"(?<=[.?]) ", s.question)}
    held = [re.split(r"(?<=[.?]) ", template)[0] for template in HELD_OUT.templates()]
    used = re.compile("|".join(f"(?:{as_pattern(template)})" for template in held))
    assert [sentence for sentence in sentences if used.fullmatch(sentence)] == []


def runs(template: str, length: int) -> set[tuple[str, ...]]:
    """Every run of so many words of a template, a slot being one."""
    words = re.findall(r"\{\w\}|\w+", template.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_what_varied_adds_shares_no_run_of_seven_words_with_a_held_out_template() -> None:
    held = set().union(*(runs(template, 7) for template in HELD_OUT.templates()))
    own = set(VARIED.templates()) - set(PRACTICE.templates())
    assert len(own) > 500
    assert {template: shared for template in own if (shared := runs(template, 7) & held)} == {}


def test_a_template_with_choices_stands_for_each_of_them() -> None:
    assert expanded("[|Then ]{h} [gets|finds] {n}.") == [
        "{h} gets {n}.",
        "{h} finds {n}.",
        "Then {h} gets {n}.",
        "Then {h} finds {n}.",
    ]
    assert expanded("a <day>, {n} <day>s") == ["a day, {n} days", "a week, {n} weeks", "an hour, {n} hours"]


def test_who_has_the_things_afterwards_is_who_the_sentence_says() -> None:
    gives = {"belong to {f}", "are with {f}", "With {f} there", "{f} has", "{f} owns", "owned by {f}"}
    for topic in ("giving", "getting"):
        assert not [t for t in VARIED.steps[topic] if any(cue in t for cue in gives)]
    for topic in ("doubling", "times"):
        named = [t for t in VARIED.steps[topic] if "{f}" in t]
        assert [t for t in named if not any(cue in t for cue in (*gives, "Compared with {h}"))] == []


@pytest.mark.parametrize("difficulties", [(), (0,), (1, -2), (7,)])
def test_a_story_without_steps_or_with_too_many_is_refused(difficulties: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 to 6"):
        stories(0, 5, difficulties=difficulties)
