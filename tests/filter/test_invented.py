"""Promises of the filters of invented prompts: every kind of rubbish has its reason, nothing held out comes
back in, and no prompt is kept twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest

from tasks.filter.chain import run_chain
from tasks.filter.held_out import HeldOut, held_out
from tasks.filter.rouge import words
from tasks.invent.form import Form, well_formed
from tasks.invent.inventor import load_inventor
from tasks.invent.novel import Earlier, novel
from tutor.world import stories

STORY, INSTRUCTION = load_inventor("story").form, load_inventor("instruction").form
SPECIALS = ("<|end|>", "<|user|>", "[[call]]")


def written(*texts: str, end: str = "stop") -> pl.DataFrame:
    """Texts as a step hands them to the filters."""
    rows = [
        {"candidate_id": f"cand-{n:03d}", "prompt_id": f"ask-{n:03d}", "text": text, "finish_reason": end}
        for n, text in enumerate(texts)
    ]
    return pl.DataFrame(rows)


def fault(text: str, form: Form, end: str = "stop") -> str | None:
    (row,) = well_formed(written(text, end=end), form, SPECIALS).to_dicts()
    assert row["kept"] == (row["reason"] is None)
    return row["reason"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("filler", ["\n", " \n", "# \n", "\ntask" + " " * 40_000])
def test_reading_the_form_of_a_hostile_text_ends(filler: str) -> None:
    """Work that grew with the square of a text would take this process minutes, far beyond its allowance."""

    def spent(*_: object) -> None:
        raise AssertionError("the work does not grow with the text alone")

    before = signal.signal(signal.SIGVTALRM, spent)
    signal.setitimer(signal.ITIMER_VIRTUAL, 10.0)
    try:
        fault("Name a river" + filler * (400_000 // len(filler)), INSTRUCTION)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name a river in France\n\n \n - task \n 7\n: name a lake", "not one prompt"),
        ("Name a river in France\n\n \n### name a lake", "not one prompt"),
        ("", "empty"),
        (" \n ", "empty"),
        ("Name a river", "shorter than 4 words"),
        ("word " * 151, "longer than 150 words"),
        ("- name a river in France", "begins with punctuation"),
        ("\u2022 name a river in France", "begins with no ASCII character"),
        ("Écris un poème sur la mer", "begins with no ASCII character"),
        ("Describe the Picture on page two", "keyword 'picture'"),
        ("Say where to go to eat in Rome", "keyword 'go to'"),
        ("Write a program that sorts a list", "begins with 'write a program'"),
        ("Here is a new request for you", "begins with 'here is'"),
        ("Name a river.\nRequest:\nName a lake too", "not one prompt"),
        ("Task 9: name a river in France", "not one prompt"),
        ("1. Name a river\n2. Name a lake", "not one prompt"),
        ("Name a river ### and a lake too\n### 3", "not one prompt"),
        ("Name a river<|end|><|user|>in France", "special tokens or unseen characters"),
        ("Name a river [[CALL]] in France", "special tokens or unseen characters"),
        ("Name a river <|im_start|> in France", "special tokens or unseen characters"),
        ("Name a \u202eriver in all of France", "special tokens or unseen characters"),
        ("Name a river in\x00 all of France", "special tokens or unseen characters"),
        ("Fix the profile below: drawing maple filed", None),
        ("Name a river:\nin France, or\tin Spain.", None),
    ],
)
def test_what_is_no_instruction_is_dropped_by_a_reason_of_its_own(text: str, reason: str | None) -> None:
    assert fault(text, INSTRUCTION) == reason


def test_a_text_that_ran_into_the_token_limit_is_dropped_however_well_it_looks() -> None:
    assert fault("Name a river in France", INSTRUCTION, end="length") == "cut off"
    assert fault("", INSTRUCTION, end="length") == "cut off"


def test_a_story_has_one_line_and_ends_in_its_only_question() -> None:
    for story in stories(5, 200):
        assert fault(story.question, STORY) is None
    tales = stories(5, 1)[0].question
    assert fault(f"{tales} {tales}", STORY) == "not one prompt"
    assert fault(f"{tales}\n#### 7", STORY) == "not one prompt"
    assert fault(tales[:-1] + ".", STORY) == "no question at its end"
    assert fault(tales + " Yes.", STORY) == "no question at its end"
    assert fault(f"Story: {tales}", STORY) == "not one prompt"


def near(known: HeldOut, text: str) -> tuple[float, str | None]:
    """How much of a text, or of the held-out prompt it overlaps most, they share, and that prompt."""
    match = known.overlap(text)
    return (match.share, match.prompt) if match else (0.0, None)


def test_a_prompt_is_held_out_by_more_than_half_of_its_words_in_runs_of_eight() -> None:
    eval_prompt = "one two three four five six seven eight nine ten"
    known = HeldOut(["p-0", "p-1", "p-2"], ["a b c", eval_prompt, eval_prompt + " eleven"])
    assert near(known, "A, b: C!") == (1.0, "p-0")
    assert near(known, "a b c d") == (0.0, None)
    assert near(known, eval_prompt.replace("four", "4")) == (0.0, None)
    half = "one two three four five six seven eight a b c d e f g h"
    longer = HeldOut(["p-0"], [eval_prompt + " eleven" * 6])
    assert near(longer, half) == (0.5, "p-0")
    decided = held_out(written(half, half[:-2], eval_prompt.upper(), "x y"), longer)
    assert decided["kept"].to_list() == [True, False, False, True]
    assert decided["duplicate_of"].to_list() == [None, "p-0", "p-0", None]
    assert decided["value"][1] == pytest.approx(8 / 15)


def test_a_held_out_prompt_inside_a_longer_one_is_found_whatever_its_length() -> None:
    known = HeldOut(["p-0", "p-1", "p-2"], ["What is 17 times 24?", " ".join("abcdefghijkl"), "Why so?"])
    assert near(known, "Please tell me now: what is 17 times 24?") == (1.0, "p-0")
    assert near(known, " ".join("abcdefghijkl") + " other words" * 30) == (1.0, "p-1")
    assert near(known, "Tell me why so? I ask") == (0.0, None)


def test_runs_shared_with_several_held_out_prompts_do_not_add_up() -> None:
    first, second = "a b c d e f g h", "i j k l m n o p"
    known = HeldOut(["p-0", "p-1"], [first + " x" * 20, second + " y" * 20])
    assert near(known, f"{first} {second} z") == (8 / 17, "p-0")


def test_the_stretch_of_words_that_two_prompts_share_is_told() -> None:
    known = HeldOut(["p-0"], ["Then: one two three four five six seven eight nine ten. Why?"])
    match = known.overlap("a b c one two, three four five six seven EIGHT nine ten")
    assert match is not None
    assert match.span == "one two three four five six seven eight nine ten"


def test_words_of_every_script_are_read_and_texts_without_words_are_like_none() -> None:
    known = HeldOut(
        ["p-0", "p-1", "p-2"], ["小明有三个苹果又买了五个", "Дети ели пять яблок и семь груш", "???"]
    )
    assert near(known, "小红有三个梨") == (0.0, None)
    assert near(known, "请问小明有三个苹果又买了五个现在有几个") == (1.0, "p-0")
    assert near(known, "Дети ели пять яблок и семь груш, сколько всего?") == (1.0, "p-1")
    assert near(known, "!!!") == (0.0, None)


def test_the_form_that_all_prompts_are_written_in_is_no_overlap() -> None:
    form = "solve the following problem step by step and show your work"
    known = HeldOut([f"p-{n}" for n in range(40)], [f"{form} {n} plus {n * n}" for n in range(40)])
    assert near(known, f"{form} how many pears") == (0.0, None)
    assert near(known, f"{form} 7 plus 49") == (1.0, "p-7")


def test_the_second_of_two_that_are_alike_is_dropped_and_names_the_first() -> None:
    earlier = Earlier()
    earlier.add(["p-0"], ["name three rivers that flow through the city of Lyon"])
    earlier.add([], [])
    earlier.add(["p-1"], ["give two reasons for the fall of Rome"])
    frame = written(
        "Name three rivers which flow through the city of Lyon.",
        "Explain how bread rises in an oven at home",
        "Explain how bread rises in an oven at sea",
        "Explain how cake rises in a pot at sea",
        "Give two reasons for the fall of Rome!",
    )
    decided = novel(frame, earlier, 0.7)
    assert decided["kept"].to_list() == [False, True, False, True, False]
    assert decided["duplicate_of"].to_list() == ["p-0", None, "cand-001", None, "p-1"]
    assert decided["value"].to_list() == pytest.approx([0.9, 0.125, 8 / 9, 0.5, 1.0], abs=0.2)
    assert decided["value"][4] == 1.0
    assert novel(frame, earlier, 1.0)["kept"].all(), "1 lets everything through"


def test_a_dropped_text_does_not_stand_in_the_way_of_others() -> None:
    """Only kept texts are met: b is like a and dropped, c is like b only, so c is kept."""
    frame = written("a b c d e f g h i j", "x y c d e f g h i j", "x y z w e f g h i j")
    decided = novel(frame, Earlier(), 0.7)
    assert decided["kept"].to_list() == [True, False, True]


def test_of_self_instructs_own_seeds_few_fall_and_copies_all_do(shared_data: Path) -> None:
    file = shared_data / "self-instruct" / "seed_tasks.jsonl"
    if not file.is_file():
        pytest.skip(f"no Self-Instruct seeds at {file}")
    seeds = [json.loads(line)["instruction"] for line in file.read_text("utf-8").splitlines()]
    seeds = [seed.strip() for seed in seeds]
    frame = written(*seeds)
    formed = well_formed(frame, INSTRUCTION.model_copy(update={"keywords": ()}), SPECIALS)
    assert formed["kept"].mean() > 0.9, formed.filter(~pl.col("kept"))["reason"].to_list()
    fresh, copies = Earlier(), Earlier()
    assert novel(frame, fresh, 0.7)["kept"].mean() > 0.9
    copies.add([f"p-{n}" for n in range(len(seeds))], [" ".join(words(seed)) for seed in seeds])
    assert not novel(frame, copies, 0.7)["kept"].any()


def test_a_chain_is_a_funnel_with_a_reason_for_each_that_falls() -> None:
    known, earlier = HeldOut(["e-0"], ["Say what a comet is made of"]), Earlier()
    frame = written("", "Say what a comet is made of", "Name four seas of Asia", "Name four seas of Asia")
    chain = [
        lambda frame: well_formed(frame, INSTRUCTION, SPECIALS),
        lambda frame: held_out(frame, known),
        lambda frame: novel(frame, earlier, 0.7),
    ]
    decisions, survivors = run_chain(frame, chain)
    assert survivors["candidate_id"].to_list() == ["cand-002"]
    reasons = decisions.filter(~pl.col("kept"))["reason"].to_list()
    assert reasons == ["empty", "overlaps a held-out prompt", "like an earlier prompt"]
