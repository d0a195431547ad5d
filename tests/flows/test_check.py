"""Promises of `ratchet check` and of the proof before an opening: what fails is one line, written nowhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import (
    BertConfig,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
    RwkvConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from flows.cli import main
from flows.nightly import check
from flows.opening.proof import prove
from schemas.errors import BadInput, ModelError
from schemas.recipes.rft import Rft
from tasks.models.checkpoint import load_model, load_tokenizer
from tests.models.conftest import CHATML, LLAMA, byte_tokenizer, save
from tutor import BASE

SIZE: dict[str, Any] = {"vocab_size": 257, "eos_token_id": 256, "bos_token_id": None, "pad_token_id": None}
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2}
HEADS: dict[str, Any] = SMALL | {"intermediate_size": 48, "num_attention_heads": 4}
LONG: dict[str, Any] = LLAMA | {"max_position_embeddings": 1024}
OPEN = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")


def bert(folder: Path) -> Path:
    return save(folder, BertConfig(**HEADS, **SIZE | {"pad_token_id": 0}))


def rwkv(folder: Path) -> Path:
    return save(folder, RwkvConfig(**SMALL, context_length=64, attention_hidden_size=32, **SIZE))


def t5(folder: Path) -> Path:
    config = T5Config(vocab_size=257, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def beyond(folder: Path) -> Path:
    tokenizer = byte_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"])
    return save(folder, LlamaConfig(**LONG, **SIZE), tokenizer=tokenizer)


def headless(folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    file = save(folder) / "model.safetensors"
    tensors = {name: one for name, one in load_file(file).items() if name != "lm_head.weight"}
    save_file(tensors, file, {"format": "pt"})
    return folder


def turned(folder: Path) -> Path:
    template = CHATML.replace("<|im_start|>assistant\n{% endif", "<|im_start|>helper\n{% endif")
    return save(folder, tokenizer=byte_tokenizer(template, ["<|im_start|>", "<|im_end|>"]))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (bert, "sees what comes after a token"),
        (rwkv, "rwkv cannot be drawn from"),
        (t5, "has an encoder"),
        (beyond, r"no embedding for \(257 rows\): <\|im_start\|> \(257\), <\|im_end\|> \(258\)"),
        (headless, r"it lacks lm_head\.weight"),
        (turned, "asks for an answer with 'helper"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_before_anything_is_written(
    made: Callable[[Path], Path], why: str, small_recipe: Rft, tmp_path: Path
) -> None:
    folder = made(tmp_path / "model")
    with pytest.raises(ModelError, match=why) as refusal:
        check(small_recipe, "ada", str(tmp_path / "lake"), str(folder))
    assert "\n" not in str(refusal.value)
    assert str(folder) in str(refusal.value)
    assert not (tmp_path / "lake").exists()
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_hyperparameters_that_do_not_fit_the_model_are_refused_too(small_recipe: Rft, tmp_path: Path) -> None:
    values = small_recipe.model_dump()
    values["training"]["lora"] = {"target_modules": ["nothing"]}
    with pytest.raises(BadInput, match=r"training\.lora\.target_modules: .* has no layer nothing"):
        check(Rft.model_validate(values), "ada", str(tmp_path / "lake"), str(BASE))
    assert not (tmp_path / "lake").exists()


def test_the_tutor_is_proved_and_nothing_is_to_be_said_of_it() -> None:
    proof = prove(BASE)
    assert proof.remarks == ()
    assert proof.drawing is not None
    assert proof.drawing.deviation < 1e-3
    assert prove(BASE) is proof


def test_a_model_whose_files_changed_is_proved_again(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "model")
    before = prove(tmp_path / "model")
    with (tmp_path / "model" / "chat_template.jinja").open("a") as file:
        file.write("{# another #}")
    assert prove(tmp_path / "model").files_hash != before.files_hash


def of_type(folder: Path, dtype: torch.dtype) -> Path:
    save(folder)
    load_model(folder).to(dtype).save_pretrained(folder)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("made", "remark"),
    [
        (lambda folder: of_type(folder, torch.bfloat16), "the weights are bfloat16: .* twice the bytes"),
        (lambda folder: of_type(folder, torch.float16), "the weights are float16: .* twice the bytes"),
        (
            lambda folder: save(folder, MixtralConfig(**HEADS, num_key_value_heads=2, **SIZE)),
            "balancing loss .* is no part of a training",
        ),
        (save, "no chat template: .* right behind the colon"),
        (
            lambda folder: save(
                folder, tokenizer=byte_tokenizer("{{ strftime_now('%Y') }}" + CHATML, ["<|im_end|>"])
            ),
            "writes today's date: it stays",
        ),
        (
            lambda folder: save(folder, tokenizer=byte_tokenizer(OPEN, ["<|im_end|>", "<think>"])),
            "asks with an open <think> and leaves it out",
        ),
    ],
    ids=["bfloat16", "float16", "experts", "no template", "date", "thought"],
)
def test_what_a_user_is_to_know_is_told(made: Callable[[Path], Path], remark: str, tmp_path: Path) -> None:
    remarks = prove(made(tmp_path)).remarks
    assert any(re.search(remark, line) for line in remarks), remarks


@pytest.mark.parametrize(("longest", "told"), [(96, False), (256, True), (300, True)])
def test_answers_that_a_training_has_no_room_for_are_told(
    longest: int, told: bool, small_recipe: Rft, tmp_path: Path
) -> None:
    values = small_recipe.model_dump()
    values["sampling"]["max_tokens"], values["training"]["max_tokens"] = longest, 256
    opening = check(Rft.model_validate(values), "ada", str(tmp_path / "lake"), None)
    assert opening is not None
    remark = rf"answers may have {longest} tokens \(sampling\.max_tokens\), and a training .* up to 256 with"
    assert any(re.search(remark, line) for line in opening.remarks) == told, opening.remarks


def test_a_model_with_a_running_state_is_proved(tmp_path: Path) -> None:
    assert prove(save(tmp_path, MambaConfig(**SMALL, state_size=8, **SIZE))).drawing is not None


def test_the_command_shows_what_a_training_will_see(shared_data: Path) -> None:
    file = shared_data / "gsm8k" / "test.jsonl"
    result = CliRunner().invoke(main, ["check", str(BASE), "--prompts", str(file), "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    row = json.loads(file.read_text("utf-8").splitlines()[0])
    parts = [[one["id"] for one in report["example"] if one["taught"] is part] for part in (True, False)]
    taught, masked = load_tokenizer(BASE).batch_decode(parts)
    assert taught == row["answer"] + "<|end|>"
    assert row["question"] in masked
    assert report["prompts"]["prompts"] == len(file.read_text("utf-8").splitlines())
    assert report["end_of_turn"] == "<|end|>"


def test_the_command_prints_the_same_for_people() -> None:
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0, result.stderr
    assert "<|end|> (token 1) is taught, and ends generation" in result.stdout
    assert result.stdout.count("masked") > 5
    assert result.stdout.count("taught") > 5


def test_a_constitution_is_asked_of_the_model_and_one_that_does_not_fit_is_one_line() -> None:
    result = CliRunner().invoke(main, ["check", "constitutional", "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)["constitution"]
    assert shown["label"].startswith("tutor-manner-1-")
    assert len(shown["principles"]) >= 5
    assert 10 < shown["longest_critique"] < shown["longest_revision"] < 200
    refused = CliRunner().invoke(main, ["check", "--constitution", "harmless"])
    assert refused.exit_code == 2
    assert "constitution harmless, principle injury: " in refused.stderr
    assert "leave no room" in refused.stderr
