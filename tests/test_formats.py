"""Promises of prompt files: people's forms are read as they are, whole, and a bad line is named."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import PromptFileError
from tasks.admit.formats import read_dialogue
from tasks.admit.prompts import (
    demonstration_rows,
    draw_prompts,
    prompt_rows,
    split_off,
    without,
)
from tasks.admit.reading import read_prompts
from tasks.admit.references import same_answer, with_work
from tasks.models.conversation import Message, dialogue, messages_of, prompts_of, read_messages

TURNS: list[dict[str, str]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "6 x 7?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "7 x 8?"},
]
FROM = {"system": "system", "user": "human", "assistant": "gpt"}
ANSWER: dict[str, Any] = {"role": "assistant", "content": "56"}


@pytest.fixture
def hh_rlhf(shared_data: Path) -> Path:
    """Anthropic's test dialogues about harmlessness, as they were published."""
    return shared_data / "hh-rlhf" / "harmless-base" / "test.jsonl.gz"


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return path


def whole(row: dict[str, Any], answer: str | None) -> str:
    """A dialogue from what was read of it."""
    (prompt,) = prompts_of(pl.DataFrame([row], schema_overrides={"messages": pl.String}))
    turns = [] if answer is None else [Message("assistant", answer)]
    return dialogue([*messages_of(prompt), *turns])


def test_every_dialogue_of_hh_rlhf_is_read_and_written_again_to_the_character(hh_rlhf: Path) -> None:
    originals = [json.loads(line) for line in gzip.decompress(hh_rlhf.read_bytes()).splitlines()]
    read = read_prompts(hh_rlhf)
    assert len(originals) == read.height == 2312
    assert read["rejected_dialogue"].null_count() == 2312, "all parted at the last answer, once turns are due"
    for original, row in zip(originals, read.to_dicts(), strict=True):
        assert whole(row, row["reference"]) == original["chosen"]
        assert whole(row, row["rejected"]) == original["rejected"]
    humans = Counter(sum(one.role == "user" for one in messages_of(prompt)) for prompt in prompts_of(read))
    assert (humans[1], sum(n for count, n in humans.items() if count > 1)) == (662, 1650)
    assert read["messages"].null_count() == 662, "one question is a text"
    assert read.filter(pl.col("reference") == "")["line"].to_list() == [87, 517, 926, 1104]


def test_hh_rlhf_is_admitted_split_and_drawn_by_what_was_said(hh_rlhf: Path) -> None:
    read = read_prompts(hh_rlhf)
    training, held_out = split_off(read, 200, seed=1)
    rows = prompt_rows(training, "train", "loop", 0)
    assert held_out.height == 200
    assert set(prompts_of(rows)).isdisjoint(prompts_of(held_out))
    assert len(set(prompts_of(rows))) == rows.height == rows["prompt_id"].n_unique()
    assert set(prompts_of(rows)) | set(prompts_of(held_out)) == set(prompts_of(read))
    assert {"rejected", "rejected_dialogue"}.isdisjoint(rows.columns)
    assert without(training, held_out).height <= training.height
    assert not draw_prompts(rows, 50, 0, 1).equals(draw_prompts(rows, 50, 0, 2))
    demonstrations = training.with_columns(response="reference")
    responses = demonstration_rows(demonstrations, rows, "loop")
    assert responses.height == rows.height
    assert responses["candidate_id"].n_unique() == rows.height


def test_dialogues_that_part_before_their_last_turn_are_kept_whole(tmp_path: Path) -> None:
    chosen = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d"
    rejected = "\n\nHuman: a\n\nAssistant: B\n\nHuman: C\n\nAssistant: D"
    (row,) = read_prompts(lines(tmp_path / "p.jsonl", {"chosen": chosen, "rejected": rejected})).to_dicts()
    assert whole(row, row["reference"]) == chosen
    assert row["rejected"] is None
    assert dialogue(read_messages(json.loads(row["rejected_dialogue"]))) == rejected


def test_a_name_opens_a_turn_only_where_it_is_due() -> None:
    text = "\n\nHuman: a\n\nHuman: b\n\nAssistant: c\n\nAssistant: d\n\nHuman: e"
    turns = read_dialogue(text)
    assert [one.content for one in turns] == ["a\n\nHuman: b", "c\n\nAssistant: d", "e"]
    assert dialogue(turns) == text


@given(st.text(alphabet="ab\n :HAumnsit", max_size=20), st.lists(st.text(max_size=9), max_size=4))
def test_any_dialogue_is_written_again_to_the_character(first: str, others: list[str]) -> None:
    text = f"\n\nHuman: {first}" + "".join(
        f"\n\n{'Human' if i % 3 else 'Assistant'}: {one}" for i, one in enumerate(others)
    )
    turns = read_dialogue(text)
    assert dialogue(turns) == text
    assert [one.role for one in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"] * (
        len(turns) % 2
    )


@pytest.mark.parametrize(
    ("record", "messages", "reference"),
    [
        ({"messages": TURNS}, TURNS, None),
        ({"messages": [*TURNS, ANSWER]}, TURNS, "56"),
        ({"messages": TURNS, "answer": "56"}, TURNS, "56"),
        ({"messages": TURNS, "reference": "56", "topic": "times"}, TURNS, "56"),
        ({"prompt": TURNS, "answer": "56"}, TURNS, "56"),
        ({"prompt": TURNS, "chosen": "56", "rejected": "54"}, TURNS, "56"),
        ({"prompt": "7 x 8?", "reference": "56"}, TURNS[3:], "56"),
        ({"messages": [TURNS[3], ANSWER]}, TURNS[3:], "56"),
        ({"question": "7 x 8?", "answer": "56", "messages": "not read"}, TURNS[3:], "56"),
        ({"question": "7 x 8?", "answer": 56}, TURNS[3:], "56"),
        ({"question": "7 x 8?", "answer": 56.0, "response": "54"}, TURNS[3:], "56"),
        ({"problem": "7 x 8?", "solution": "56", "level": "Level 1"}, TURNS[3:], "56"),
        ({"instruction": "7 x 8?", "input": "", "output": "56"}, TURNS[3:], "56"),
        ({"instruction": "7 x 8?", "input": None, "response": "56"}, TURNS[3:], "56"),
        ({"prompt": "7 x 8?", "completion": "56"}, TURNS[3:], "56"),
        ({"prompt": TURNS, "completion": [ANSWER]}, TURNS, "56"),
        ({"prompt": TURNS, "chosen": [ANSWER], "rejected": [ANSWER | {"content": "54"}]}, TURNS, "56"),
        ({"messages": json.dumps([*TURNS, ANSWER | {"name": None}])}, TURNS, "56"),
        ({"conversations": [{"from": FROM[m["role"]], "value": m["content"]} for m in TURNS]}, TURNS, None),
    ],
)
def test_each_form_is_read_to_the_same_prompt(
    record: dict[str, Any], messages: list[dict[str, str]], reference: str | None, tmp_path: Path
) -> None:
    (row,) = read_prompts(lines(tmp_path / "p.jsonl", record)).to_dicts()
    (prompt,) = prompts_of(pl.DataFrame([row], schema_overrides={"messages": pl.String}))
    assert [{"role": one.role, "content": one.content} for one in messages_of(prompt)] == messages
    assert (row["messages"] is None) == (len(messages) == 1)
    assert row["reference"] == reference
    rejected = record.get("rejected")
    assert row["rejected"] == (rejected[0]["content"] if isinstance(rejected, list) else rejected)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "no 'question'"),
        ({"chosen": "x"}, "no 'question'"),
        ({"question": "a"}, "no 'answer'"),
        ({"question": "a", "answer": [[1]]}, "'answer' must be a text that is not empty, not a list"),
        ({"question": "a", "answer": True}, "'answer' must be a text that is not empty, not a boolean"),
        ('{"question": "a", "answer": NaN}', "'answer' must be a text that is not empty, not a number"),
        ({"question": None, "answer": "1"}, "'question' must be a text that is not empty, not null"),
        ({"problem": "a", "instruction": "b", "output": "c"}, "columns 'problem' and 'instruction' could be"),
        (
            {"problem": "a", "output": "b", "solution": "c"},
            "columns 'solution' and 'output' could be the answer",
        ),
        (
            {"task": "a", "key": "b"},
            "no 'question', nor another column that is known: there is 'key', 'task'",
        ),
        ({"conversations": [{"from": "tool", "value": "a"}]}, "message 1 is from 'tool'"),
        ({"messages": TURNS[:1]}, "messages need one by user"),
        ({"messages": [*TURNS, TURNS[3]]}, "message 5 is by user, where it is the turn of assistant"),
        ({"messages": [*TURNS, ANSWER], "answer": "56"}, "both a last turn by assistant and a reference"),
        ({"messages": TURNS, "answer": "56", "reference": "56"}, "both 'answer' and 'reference'"),
        ({"messages": [TURNS[1] | {"content": "x" * 200_001}]}, "'messages' are longer than 200,000"),
        ({"prompt": [*TURNS, ANSWER]}, "the last message of a prompt must be the user's"),
        ({"prompt": {"a": 1}}, "'prompt' must be a text that is not empty"),
        ({"prompt": "a", "chosen": "b"}, "no 'rejected'"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "answer": "d"}, "both 'chosen' and a reference"),
        ({"chosen": "Human: a", "rejected": "b"}, r"a dialogue must begin with '\n\nHuman: '"),
        ({"chosen": "\n\nHuman: ", "rejected": "\n\nHuman: "}, "the user's last message is empty"),
        ('{"messages": [', "not JSON"),
        ("[1]", "an object is needed, not list"),
    ],
)
def test_a_bad_line_is_named_by_its_number(record: Any, problem: str, tmp_path: Path) -> None:
    file = lines(tmp_path / "p.jsonl", {"messages": TURNS}, "", record)
    with pytest.raises(PromptFileError) as refusal:
        read_prompts(file)
    assert f"{file}, line 3: {problem}" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(b'{"messages": 1}', mtime=0)[:-4], gzip.compress(b"x" * 99, mtime=0)[:20]],
)
def test_a_broken_gzip_is_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl.gz"
    file.write_bytes(data)
    with pytest.raises(PromptFileError, match=r"prompt file .*p\.jsonl\.gz: ") as refusal:
        read_prompts(file)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_conversation_and_the_text_it_is_written_as_are_two_prompts(tmp_path: Path) -> None:
    talk = {"messages": TURNS}
    text = "System: Be brief.\n\nHuman: 6 x 7?\n\nAssistant: 42\n\nHuman: 7 x 8?"
    read = read_prompts(lines(tmp_path / "p.jsonl", talk, {"prompt": text}, talk))
    rows = prompt_rows(read, "train", "loop", 0)
    assert read["text"].n_unique() == 1
    assert rows["line"].to_list() == [1, 2]
    assert rows["prompt_id"].n_unique() == 2


def test_a_list_of_answers_is_one_reference_that_accepts_each_and_no_worked_solution(tmp_path: Path) -> None:
    answers = [["12", 12, " a dozen "], [12], "12", ["so #### 12", "so \\boxed{12}"]]
    read = read_prompts(
        lines(tmp_path / "p.jsonl", *({"question": f"{n}?", "answer": a} for n, a in enumerate(answers)))
    )
    references = read["reference"].to_list()
    assert references == ['["12", "a dozen"]', "12", "12", '["so #### 12", "so \\\\boxed{12}"]']
    assert with_work(read.with_columns(solution=pl.lit(None, pl.String))).is_empty()
    assert same_answer(references[0], '["a dozen", "12"]') is True
    assert same_answer(references[0], "12") is True
    assert same_answer('["1", "2"]', '["3", "4"]') is False
    assert same_answer('["def f(x): return x", "2"]', "f = lambda x: x") is None
    for bad in ([], ["12", " "], [["12"]], [None], [str(n) for n in range(65)]):
        with pytest.raises(PromptFileError, match="line 1"):
            read_prompts(lines(tmp_path / "bad.jsonl", {"question": "q", "answer": bad}))
