"""Promises of the shipped base: any text round-trips, a number is one token, the weights are as stated."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import GenerationConfig, PreTrainedModel

from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.rendering import prompt_ids
from tutor import BASE
from tutor.build import Recipe, build
from tutor.world import Story, stories

TEXTS = [
    "",
    " ",
    "  two  spaces , and a stop .",
    "\x00\x01\x07\x1b\x7f",
    "tab\tnew\nline\r\nreturn",
    "😀👩\u200d👩\u200d👧 and 🏳️\u200d🌈",
    "小明有十二个苹果。",
    "مرحبا ١٢٣ שלום",
    "e\u0301 é ﬁ \uff11\uff12",
    "\ufeff\u202e\u2028\u200b",
    "\U0010ffff",
    "<<3*4=12>>12\n#### 12",
    "1234567890 007 1,000.50 $5 -3/4",
    "don't I'm",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(BASE)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return load_model(BASE)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_from_its_tokens(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_every_byte_has_a_token(tokenizer: Any) -> None:
    text = "".join(map(chr, [*range(0x250), *range(0x4E00, 0x4E80), *range(0x1F600, 0x1F640)]))
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_whole_number_to_100_is_one_token_and_a_larger_one_is_split(tokenizer: Any) -> None:
    alone = [tokenizer(str(n))["input_ids"] for n in range(101)]
    assert all(len(ids) == 1 for ids in alone)
    inside = tokenizer("<<" + "+".join(map(str, range(101))))["input_ids"]
    assert [ids[0] for ids in alone] == inside[1::2]
    assert all(len(tokenizer(str(n))["input_ids"]) > 1 for n in range(101, 1200))


def test_the_chat_template_tells_who_speaks(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "Be careful."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
    ]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert text == "<|system|>Be careful.<|end|><|user|>2+2?<|end|><|assistant|>4<|end|>"
    prompt = tokenizer.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert prompt == text[: text.index("4<|end|>")]
    with pytest.raises(Exception, match="no such role"):
        tokenizer.apply_chat_template([{"role": "judge", "content": "5"}], tokenize=False)


def test_the_template_marks_what_the_assistant_wrote_with_its_end(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    marked = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    ids = [i for i, m in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(ids) == "4<|end|>"


def test_pad_and_end_are_stated_alike_everywhere(tokenizer: Any, model: PreTrainedModel) -> None:
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    generation = GenerationConfig.from_pretrained(BASE)
    for config in (generation, model.config):
        assert config.eos_token_id == tokenizer.eos_token_id
        assert config.pad_token_id == tokenizer.pad_token_id
    assert len(tokenizer) <= model.config.vocab_size


def test_the_shipped_weights_are_the_ones_that_origin_states() -> None:
    origin = json.loads((BASE / "origin.json").read_text("utf-8"))
    assert weights_hash(BASE) == origin["weights_sha256"]
    assert sum(file.stat().st_size for file in BASE.glob("*.safetensors")) <= 5_000_000
    tensors = load_file(BASE / "model.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == origin["parameters"]


def test_the_build_script_says_what_the_shipped_base_was_built_with() -> None:
    origin = json.loads((BASE / "origin.json").read_text("utf-8"))
    assert origin["recipe"] == vars(Recipe())
    assert origin["command"] == f"python -m tutor.build --seed {origin['seed']}"


def test_the_same_seed_builds_the_same_weights(tmp_path: Any) -> None:
    small = Recipe(texts=400, steps=6, batch=16, hidden=32, layers=1, heads=2, inner=48)
    first = build(tmp_path / "first", 7, small)
    assert build(tmp_path / "second", 7, small) == first
    assert build(tmp_path / "third", 8, small)["weights_sha256"] != first["weights_sha256"]
    load_model(tmp_path / "first")
    names = {file.name for file in (tmp_path / "first").iterdir()}
    assert names == {file.name for file in BASE.iterdir()}
    assert not list(tmp_path.glob(".building-*"))


def test_the_base_is_often_wrong_where_it_could_be_right(tokenizer: Any, model: PreTrainedModel) -> None:
    tales = stories(77, 100, "held-out")
    greedy = _answered(tokenizer, model, tales, do_sample=False)
    assert 0.12 < sum(greedy) / len(tales) < 0.46
    torch.manual_seed(0)
    tried = [_answered(tokenizer, model, tales, do_sample=True, top_k=0) for _ in range(4)]
    reached = [any(of_story) for of_story in zip(*tried, strict=True)]
    assert sum(reached) / len(tales) > 1.5 * sum(greedy) / len(tales)


@torch.inference_mode()
def _answered(tokenizer: Any, model: Any, asked: list[Story], **how: Any) -> list[bool]:
    """Whether each story's answer ends with the right number."""
    batch = tokenizer.pad(
        {"input_ids": [prompt_ids(tokenizer, s.question) for s in asked]}, return_tensors="pt"
    )
    outputs = model.generate(**batch, max_new_tokens=80, **how)[:, batch["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(outputs, skip_special_tokens=True)
    return [text.endswith(f"\n#### {s.answer}") for text, s in zip(texts, asked, strict=True)]
