"""Promises about folders that are no whole model: refused in one line that names what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from schemas.errors import ModelError
from tasks.models.checkpoint import check_folder, context_length, load_model, load_tokenizer
from tasks.models.rendering import prompt_ids
from tests.models.conftest import byte_tokenizer, save

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("whole"))


def changed(whole: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """A copy of a model whose tensors were changed."""
    shutil.copytree(whole, folder)
    save_file(change(load_file(whole / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    return folder


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: one for name, one in tensors.items() if part not in name}


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
def test_tensors_under_another_prefix_are_refused_by_name(whole: Path, prefix: str, tmp_path: Path) -> None:
    """As torch.compile, DistributedDataParallel and PEFT leave them."""
    moved = changed(whole, tmp_path / "model", lambda t: {prefix + name: one for name, one in t.items()})
    with pytest.raises(
        ModelError, match=rf"lacks lm_head\.weight.* and has {prefix}lm_head\.weight"
    ) as refusal:
        load_model(moved)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("lm_head", r"lm_head\.weight"),
        ("layers.1.mlp", r"model\.layers\.1\.mlp\.down_proj\.weight"),
        ("layers.1.", r"model\.layers\.1\.input_layernorm\.weight.* and 6 more"),
    ],
    ids=["head", "mlp", "layer"],
)
def test_a_missing_part_is_refused_by_name(whole: Path, part: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"does not fill its architecture: it lacks {named}"):
        load_model(changed(whole, tmp_path / "model", without(part)))


def test_a_layer_that_the_config_does_not_count_is_refused(whole: Path, tmp_path: Path) -> None:
    def deeper(tensors: Tensors) -> Tensors:
        more = {name.replace("s.1.", "s.2."): one.clone() for name, one in tensors.items() if "s.1." in name}
        return tensors | more

    with pytest.raises(ModelError, match=r"does not use: model\.layers\.2\.input_layernorm\.weight"):
        load_model(changed(whole, tmp_path / "model", deeper))


def test_a_reward_models_folder_is_refused(whole: Path, tmp_path: Path) -> None:
    model = LlamaForSequenceClassification.from_pretrained(whole, num_labels=1)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks lm_head\.weight and has score\.weight"):
        load_model(tmp_path)


def test_a_shape_that_the_config_does_not_have_is_refused_by_name(whole: Path, tmp_path: Path) -> None:
    narrow = changed(whole, tmp_path / "model", lambda t: t | {"lm_head.weight": torch.zeros(100, 32)})
    with pytest.raises(ModelError, match=r"other shapes than the weights have: lm_head\.weight"):
        load_model(narrow)


def test_buffers_of_old_checkpoints_that_the_architecture_computes_are_no_reason(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=257, n_embd=32, n_layer=1, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(load_file(file) | {"transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64)}, file)
    assert load_model(tmp_path).num_parameters() > 0


def test_an_adapter_alone_and_one_beside_a_model_are_refused(whole: Path, tmp_path: Path) -> None:
    adapted = get_peft_model(load_model(whole), LoraConfig(r=2, target_modules="all-linear"))
    adapted.save_pretrained(tmp_path / "adapter")
    byte_tokenizer().save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match=r"is an adapter, not a model .*merge it into its base"):
        check_folder(tmp_path / "adapter")
    shutil.copytree(whole, tmp_path / "both")
    for file in (tmp_path / "adapter").glob("adapter*"):
        shutil.copyfile(file, tmp_path / "both" / file.name)
    with pytest.raises(ModelError, match=r"holds an adapter beside a model .*move it out"):
        check_folder(tmp_path / "both")


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq"])
def test_a_quantised_folder_is_refused(whole: Path, method: str, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    config = json.loads((whole / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=rf"is quantised \({method}\)"):
        load_model(tmp_path / "model")


def test_a_shard_that_is_not_there_is_refused_by_name(whole: Path, tmp_path: Path) -> None:
    load_model(whole).save_pretrained(tmp_path, max_shard_size="20KB")
    byte_tokenizer().save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].unlink()
    with pytest.raises(ModelError, match=f"lacks {shards[1].name}, which model.safetensors.index.json names"):
        check_folder(tmp_path)


def test_a_model_with_an_encoder_is_refused(tmp_path: Path) -> None:
    config = T5Config(vocab_size=257, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"has an encoder \(model_type t5\)"):
        load_tokenizer(tmp_path)


def test_a_config_that_does_not_parse_is_one_line(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"config\.json does not parse"):
        check_folder(tmp_path / "model")


def test_a_config_with_a_value_of_another_type_is_one_line(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    config = json.loads((whole / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"rms_norm_eps": "small"}))
    for load in (context_length, load_model):
        with pytest.raises(ModelError, match="rms_norm_eps"):
            load(tmp_path / "model")


@pytest.mark.parametrize("start", [[], ["<s>"]], ids=["nothing before", "a start before"])
def test_a_tokenizer_that_appends_its_end_ends_no_prompt(start: list[str], tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(None, ["<s>"])
    ends = [("<|endoftext|>", 256), ("<s>", 257)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=[*start, "$A", "<|endoftext|>"], special_tokens=ends
    )
    assert tokenizer("What?")["input_ids"][-1] == 256
    folder = save(tmp_path, tokenizer=tokenizer)
    loaded = load_tokenizer(folder)
    ids = prompt_ids(loaded, "What?")
    assert 256 not in ids
    assert loaded.decode(ids) == "".join(start) + "Question: What?\nAnswer:"
