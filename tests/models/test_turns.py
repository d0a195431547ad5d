"""Promises about the model's turn: what is taught is what its chat template writes, and its end is obeyed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import trl
from safetensors.torch import load_file, save_file

from schemas.errors import ModelError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.checkpoint import load_tokenizer
from tasks.models.ends import end_ids
from tasks.models.rendering import prompt_text, templated
from tasks.models.turns import answer_tokens, end_of_turn, example_lengths, texts_of, turn_of
from tasks.train.objectives.sft import SFT
from tests.models.conftest import CHATML, GEMMA, byte_tokenizer, save

TEMPLATES = sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
IN_PARTS = {"idefics3", "llava_next", "smolvlm"}
"""Templates that read a message's content as a list of parts: they do not write a plain text."""
LEFT_OUT = {"deepseek_r1_distill", "deepseekv3"}
"""Templates that open <think> when they ask, and leave it out of what was said."""
SPACED = {"nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super", "nemotron_3_ultra"}
"""Templates that ask with a line break which they do not write."""
ROUND = "What is 6 times 7?"


def family(template: Path) -> str:
    return template.stem.removesuffix("_training")


def tokenizer_of(template: str) -> Any:
    """A tokenizer that has every mark of a template as a token."""
    marks = sorted(set(re.findall(r"<[^<>\s'\"{}%]{1,40}>", template)))
    tokenizer = byte_tokenizer(template, ["<s>", "<pad>", *marks])
    tokenizer.bos_token, tokenizer.pad_token = "<s>", "<pad>"
    return tokenizer


def turns(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": ROUND}, {"role": "assistant", "content": answer}]


def test_there_are_templates_to_try() -> None:
    assert len(TEMPLATES) >= 53
    assert {family(template) for template in TEMPLATES} > IN_PARTS | LEFT_OUT | SPACED


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.stem)
def test_every_template_of_trl_is_taught_as_it_is_written_or_refused(template: Path, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(template.read_text("utf-8"))
    if family(template) in IN_PARTS:
        with pytest.raises(ModelError, match=r"the chat template (refuses|leaves out)"):
            load_tokenizer(save(tmp_path, tokenizer=tokenizer))
        return
    turn, prompt, whole = (
        turn_of(tokenizer),
        prompt_text(tokenizer, ROUND),
        templated(tokenizer, turns("It is 42.")),
    )
    end = tokenizer.convert_ids_to_tokens(turn.end)
    taught = prompt + turn.wrapped("It is 42.")
    assert turn.wrapped(turn.wrapped("It is 42.")) == turn.wrapped("It is 42.")
    if family(template) in LEFT_OUT:
        assert taught.replace("<think>\n\n</think>\n\n", "") + end == whole
        assert "</think>" in turn.remark
    elif family(template) in SPACED:
        assert taught.replace("<think>\n", "<think>") == whole[: -len(f"{end}\n")]
        assert "</think>" in turn.remark
    else:
        assert whole.startswith(taught)
        assert whole[len(taught) :].startswith(end) or (not whole[len(taught) :] and end == "<|endoftext|>")
    (ids,) = answer_tokens(tokenizer, ["It is 42."])
    assert tokenizer.decode(ids) == turn.wrapped("It is 42.") + end
    assert ids.count(turn.end) == 1


def test_eighteen_or_more_templates_write_more_than_prompt_and_answer_and_say_so() -> None:
    more = set()
    for template in TEMPLATES:
        if (
            family(template) not in IN_PARTS
            and (turn := turn_of(tokenizer_of(template.read_text("utf-8")))).before.strip()
        ):
            assert turn.remark
            more.add(template.stem)
    assert len(more) >= 18
    assert {"gptoss", "qwen3", "qwen3_5_think", "glm4moe", "deepseek_r1_distill"} <= more


def test_what_a_model_wrote_behind_an_open_thought_is_taught_as_it_wrote_it() -> None:
    template = next(one for one in TEMPLATES if one.stem == "qwen3_5_think").read_text("utf-8")
    tokenizer = tokenizer_of(template)
    own = "6 times 7\nis 42\n</think>\n\nAnswer: 42"
    (ids,) = answer_tokens(tokenizer, [own])
    assert tokenizer.decode(ids) == own + "<|im_end|>"
    assert example_lengths(tokenizer, [ROUND], [own]) == [
        len(tokenizer(prompt_text(tokenizer, ROUND))["input_ids"]) + len(ids)
    ]


def test_a_template_that_writes_another_turn_than_it_asks_for_is_refused() -> None:
    template = CHATML.replace("<|im_start|>assistant\n{% endif", "<|im_start|>helper: {% endif")
    with pytest.raises(ModelError, match=r"asks for an answer with 'helper: ' and writes 'assistant\\n'"):
        turn_of(byte_tokenizer(template, ["<|im_start|>", "<|im_end|>"]))


@pytest.mark.parametrize(
    ("template", "end"), [(CHATML, "<|im_end|>"), (GEMMA, "<end_of_turn>")], ids=["chatml", "gemma"]
)
def test_the_end_that_is_taught_ends_generation_where_the_tokenizers_end_is_another(
    template: str, end: str, tmp_path: Path
) -> None:
    """As in Qwen2.5's base models, and in a Gemma without generation settings."""
    marks = [end, "<|im_start|>", "<start_of_turn>"]
    folder = save(tmp_path / "model", tokenizer=byte_tokenizer(template, marks))
    (folder / "generation_config.json").unlink()
    tokenizer = load_tokenizer(folder)
    token: int = tokenizer.convert_tokens_to_ids(end)  # type: ignore[assignment]
    assert end_of_turn(tokenizer) == token != tokenizer.eos_token_id
    assert set(end_ids(folder)) == {token, tokenizer.eos_token_id}
    always(folder, token)
    with EmbeddedEngine(folder, device="cpu") as engine:
        ((sample,),) = engine.generate([ROUND], Sampling(samples=1, temperature=0, max_tokens=8), [0])
    assert (sample.finish_reason, sample.token_ids, sample.text) == ("stop", (token,), "")
    frame = pl.DataFrame({"prompt": [ROUND], "response": ["42"]})
    (example,) = SFT.encode(tokenizer, frame)
    assert example.tensors["labels"].tolist()[-3:] == [*tokenizer("42")["input_ids"], token]


def always(folder: Path, token: int) -> None:
    """Weights that say one token whatever they are asked: its output row is what the last norm gives."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"] = torch.zeros_like(tensors["model.norm.weight"])
    tensors["lm_head.weight"] = torch.zeros_like(tensors["lm_head.weight"])
    tensors["model.norm.weight"][0] = 1.0
    tensors["model.embed_tokens.weight"][:, 0] = 5.0
    tensors["lm_head.weight"][token, 0] = 9.0
    for name in tensors:
        if "down_proj" in name or "o_proj" in name:
            tensors[name] = torch.zeros_like(tensors[name])
    save_file(tensors, file, {"format": "pt"})


def test_without_a_template_an_answer_is_taught_as_it_was_written_behind_the_colon() -> None:
    """A reference has no space before it, what a model wrote may have one: each is taught as it is."""
    tokenizer = byte_tokenizer()
    frame = pl.DataFrame({"prompt": ["6?", "6?"], "response": ["3", " 3"]})
    texts = ["Question: 6?\nAnswer:3", "Question: 6?\nAnswer: 3"]
    for example, text, taught in zip(SFT.encode(tokenizer, frame), texts, ("3", " 3"), strict=True):
        ids, labels = example.tensors["input_ids"].tolist(), example.tensors["labels"].tolist()
        assert tokenizer.decode(ids) == text + "<|endoftext|>"
        assert tokenizer.decode([one for one in labels if one >= 0]) == taught + "<|endoftext|>"
    assert texts_of(tokenizer, [tokenizer(" 3")["input_ids"]]) == [" 3"]


def test_special_tokens_that_a_model_writes_stay_in_its_text_and_are_taught_again() -> None:
    tokenizer = byte_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>", "<think>", "</think>"])
    ids = tokenizer("<think>6 x 7</think>42", add_special_tokens=False)["input_ids"]
    assert len(ids) == 9
    (text,) = texts_of(tokenizer, [ids])
    assert text == "<think>6 x 7</think>42"
    assert answer_tokens(tokenizer, [text]) == [[*ids, end_of_turn(tokenizer)]]


def test_an_end_token_that_stands_in_an_answer_is_learned_once() -> None:
    tokenizer = byte_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"])
    end = end_of_turn(tokenizer)
    ids, plain = answer_tokens(tokenizer, ["42<|im_end|>", "42"])
    assert ids == plain
    assert ids.count(end) == 1
