"""Promises of a recipe's template values and end of turn: given to every rendering, taught and obeyed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from flows.opening.proof import prove
from schemas.errors import ModelError, RecipeError
from schemas.job import Chat
from schemas.recipes.parsing import validated
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Prompts, Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.chat import spoken, unread
from tasks.models.checkpoint import load_tokenizer
from tasks.models.ends import end_ids
from tasks.models.rendering import prompt_ids, prompt_text, templated
from tasks.models.turns import answer_tokens, end_of_turn, turn_of
from tasks.train.objectives.sft import SFT
from tests.models.conftest import CHATML, byte_tokenizer, save
from tests.models.test_turns import IN_PARTS, ROUND, TEMPLATES, always, family, tokenizer_of

VALUES: dict[str, Any] = {
    "enable_thinking": False,
    "reasoning_effort": "high",
    "style": 'a "b" \\ {% endset %}\n{{ x }} \u2603 \U0001f600',
    "nested": {"list": [1, -2.5, None, True, {"it's": "so"}], "empty": []},
}
STYLED = "{{ style }}" + CHATML
MARKS = ["<|im_start|>", "<|im_end|>"]


def chat(**prompts: Any) -> Chat:
    return Prompts(**prompts).chat


def remarks(folder: Path, **prompts: Any) -> tuple[str, ...]:
    return prove(folder, chat=chat(**prompts)).remarks


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.stem)
def test_every_template_of_trl_is_rendered_as_with_the_values_given_to_it(template: Path) -> None:
    if family(template) in IN_PARTS:
        return
    plain, configured = tokenizer_of(template.read_text("utf-8")), tokenizer_of(template.read_text("utf-8"))
    spoken(configured, chat(chat_template_kwargs=VALUES))
    messages = [{"role": "user", "content": ROUND}, {"role": "assistant", "content": "42"}]
    for turns, asks in ((messages[:1], True), (messages, False)):
        how = {"tokenize": False, "add_generation_prompt": asks}
        assert configured.apply_chat_template(turns, **how) == plain.apply_chat_template(
            turns, **how, **VALUES
        )


def test_values_of_every_kind_reach_the_template() -> None:
    tokenizer = byte_tokenizer("\n{% for name in ['a'] %}{{ style }}|{{ nested | tojson }}{% endfor %}\n")
    spoken(tokenizer, chat(chat_template_kwargs=VALUES))
    text = templated(tokenizer, [{"role": "user", "content": "x"}])
    assert text == f"\n{VALUES['style']}|{json.dumps(VALUES['nested'], ensure_ascii=False)}"


def test_thinking_is_turned_off_in_what_is_asked_and_in_what_is_taught(tmp_path: Path) -> None:
    template = next(one for one in TEMPLATES if one.stem == "qwen3").read_text("utf-8")
    folder = save(tmp_path, tokenizer=tokenizer_of(template))
    off = chat(chat_template_kwargs={"enable_thinking": False})
    on, tokenizer = load_tokenizer(folder), load_tokenizer(folder, off)
    assert prompt_text(tokenizer, ROUND) == prompt_text(on, ROUND) + "<think>\n\n</think>\n\n"
    (example,) = SFT.encode(tokenizer, pl.DataFrame({"prompt": [ROUND], "response": ["42"]}))
    ids = prompt_ids(tokenizer, ROUND)
    assert example.tensors["input_ids"].tolist()[: len(ids)] == ids
    with EmbeddedEngine(folder, device="cpu", chat=off) as engine:
        assert engine._encode([ROUND], 8) == [ids]


def test_values_that_the_template_never_reads_are_told_in_one_line(tmp_path: Path) -> None:
    folder = save(tmp_path, tokenizer=byte_tokenizer(STYLED, MARKS))
    lines = remarks(folder, chat_template_kwargs={"style": "x", "enable_thinking": True, "b": 1})
    assert [line for line in lines if "never reads" in line] == [
        "prompts.chat_template_kwargs: the chat template never reads b, enable_thinking"
    ]
    assert not any("never reads" in line for line in remarks(folder, chat_template_kwargs={"style": ""}))
    assert unread({"default": CHATML, "tools": STYLED}, chat(chat_template_kwargs={"style": 1})) == []
    marked = "{% generation %}{{ style }}{% endgeneration %}{% for m in messages %}{% break %}{% endfor %}"
    assert unread(marked, chat(chat_template_kwargs={"style": 1, "other": 1})) == ["other"]


def test_a_model_without_a_template_is_given_no_values(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no chat template to give them to"):
        load_tokenizer(save(tmp_path), chat(chat_template_kwargs={"style": "x"}))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"messages": []}, "messages is what a chat template has already"),
        ({"eos_token": "x"}, "eos_token is what a chat template has already"),
        ({"a b": 1}, "'a b' is no name"),
        ({"in": 1}, "'in' is no name"),
        ({"x": "y" * 10_000}, "10,000 characters"),
        ({f"x{i}": 1 for i in range(33)}, "at most 32 names"),
        ({"x": json.loads("[" * 9 + "]" * 9)}, "8 levels"),
        ({"x": float("inf")}, "chat_template_kwargs"),
        ({"x": {1, 2}}, "chat_template_kwargs"),
    ],
    ids=["messages", "token", "space", "keyword", "long", "many", "deep", "infinity", "set"],
)
def test_values_out_of_bounds_are_refused_in_one_line(values: dict[str, Any], why: str) -> None:
    with pytest.raises(RecipeError, match=why) as refused:
        validated(Rft, {"prompts": {"chat_template_kwargs": values}}, "recipe")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("template", "end", "after"),
    [
        (CHATML, "<|endoftext|>", ""),
        (CHATML, "<|im_end|>", ""),
        (None, "<|im_end|>", ""),
        (CHATML.replace("<|im_end|>", ""), "<|im_end|>", ""),
        (CHATML.replace("<|im_end|>", "<|im_end|><|endoftext|>"), "<|endoftext|>", "<|im_end|>"),
    ],
    ids=["another than the template's", "the template's", "no template", "no end", "behind the template's"],
)
def test_the_end_that_a_recipe_names_is_taught_and_ends_generation(
    template: str | None, end: str, after: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", tokenizer=byte_tokenizer(template, MARKS))
    named = chat(end_of_turn=end)
    tokenizer = load_tokenizer(folder, named)
    token = tokenizer.get_vocab()[end]
    assert end_of_turn(tokenizer) == token
    assert token in end_ids(folder, named)
    (ids,) = answer_tokens(tokenizer, ["42"])
    assert ids[-1] == token
    assert ids.count(token) == 1
    assert turn_of(tokenizer).after == after
    assert prove(folder, chat=named).end_of_turn == end
    always(folder, token)
    with EmbeddedEngine(folder, device="cpu", chat=named) as engine:
        ((sample,),) = engine.generate([ROUND], Sampling(samples=1, temperature=0, max_tokens=8), [0])
    assert (sample.finish_reason, sample.token_ids, sample.text) == ("stop", (token,), "")


def test_an_end_that_the_template_does_not_write_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path, tokenizer=byte_tokenizer(CHATML, MARKS))
    pattern = r"ends with '<\|endoftext\|>' .*template writes '<\|im_end\|>'"
    assert any(re.search(pattern, line) for line in remarks(folder, end_of_turn="<|endoftext|>"))
    assert not any("end_of_turn" in line for line in remarks(folder, end_of_turn="<|im_end|>"))


@pytest.mark.parametrize("end", ["<|no_such|>", "ab", " ", "a"])
def test_an_end_that_is_no_token_is_refused_in_one_line(end: str, tmp_path: Path) -> None:
    folder = save(tmp_path, tokenizer=byte_tokenizer(CHATML, MARKS))
    with pytest.raises(
        RecipeError, match=r"prompts\.end_of_turn .* is no (special )?token of the"
    ) as refused:
        load_tokenizer(folder, chat(end_of_turn=end))
    assert "\n" not in str(refused.value)


def test_the_check_shows_both(tmp_path: Path) -> None:
    folder = save(tmp_path, tokenizer=byte_tokenizer(STYLED, MARKS))
    arguments = ["check", str(folder), "--end-of-turn", "<|endoftext|>", "--json"]
    result = CliRunner().invoke(main, [*arguments, "--chat-template-kwargs", '{"style": "Be brief. "}'])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["end_of_turn"] == "<|endoftext|>"
    text = "".join(token["text"] for token in report["example"])
    assert text.startswith("Be brief. <|im_start|>user")
    assert text.endswith("<|endoftext|>")
    refused = CliRunner().invoke(main, [*arguments, "--chat-template-kwargs", "brief"])
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
