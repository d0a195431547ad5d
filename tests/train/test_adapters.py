"""Promises of adapters as bases: merged they are what they were beside their base, or refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from flows.cli import main
from flows.nightly import check, night
from flows.opening.adapters import whole_model
from schemas.errors import BadInput, ModelError
from schemas.recipes.rft import Rft
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.train.adapters import is_adapter
from tests.flows.conftest import small_recipe as small_recipe
from tests.models.conftest import CHATML, byte_tokenizer, save
from tutor import BASE
from warehouse.lake import Lake
from warehouse.loops import fold
from warehouse.query import read

NEW = ["<|im_start|>", "<|im_end|>"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save(tmp_path / "base")


def adapter(folder: Path, base: Path, *, rows: int | None = None, **settings: Any) -> Any:
    """An adapter of a base as PEFT saves one, its tensors moved off where they begin; the model with it."""
    model: Any = load_model(base)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    kind = settings.pop("kind", LoraConfig)
    config = kind(**{"target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"} | settings)
    config.base_model_name_or_path = str(base)
    adapted: Any = get_peft_model(model, config)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    adapted.save_pretrained(folder)
    return adapted.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(20)[None] * 3).logits
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4},
        {"r": 4, "use_dora": True},
        {"r": 2, "use_rslora": True, "rank_pattern": {"q_proj": 3}, "target_modules": "all-linear"},
        {"r": 2, "modules_to_save": ["lm_head", "norm"]},
        {"r": 2, "bias": "lora_only"},
        {"r": 2, "rows": 259, "modules_to_save": ["embed_tokens", "lm_head"]},
        {"r": 2, "rows": 259, "target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["lm_head"]},
    ],
    ids=["lora", "dora", "ranks", "whole modules", "bias", "new tokens", "new tokens, adapted"],
)
def test_a_merged_adapter_computes_what_it_computed_beside_its_base(
    settings: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    beside = adapter(tmp_path / "adapter", base, **settings)
    assert is_adapter(tmp_path / "adapter")
    with whole_model(tmp_path / "adapter") as model:
        merged: Any = load_model(model.folder)
        assert torch.allclose(logits(merged), logits(beside), atol=1e-3)
        assert not torch.allclose(logits(merged)[..., :257], logits(load_model(base)), atol=1e-1)
        assert f"merged into its base at {base}, in float32" in str(model.merged)
        assert load_tokenizer(model.folder).get_vocab() == load_tokenizer(base).get_vocab()


def test_an_adapters_own_tokenizer_and_template_take_the_place_of_its_bases(
    base: Path, tmp_path: Path
) -> None:
    adapter(tmp_path / "adapter", base, rows=259, modules_to_save=["embed_tokens", "lm_head"])
    byte_tokenizer(CHATML, NEW).save_pretrained(tmp_path / "adapter")
    with whole_model(tmp_path / "adapter") as model:
        tokenizer = load_tokenizer(model.folder)
        assert tokenizer.get_vocab()["<|im_end|>"] == 258
        assert tokenizer.chat_template == CHATML
        again = model.folder
    with whole_model(tmp_path / "adapter") as model:
        assert model.folder == again, "merged once in a process"


def edited(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "adapter_model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


def set_to(folder: Path, **values: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("hurt", "why"),
    [
        (lambda f: set_to(f, peft_type="PROMPT_TUNING"), "is an adapter of kind PROMPT_TUNING: LoRA's"),
        (pickled, "without adapter_model.safetensors: safetensors alone"),
        (lambda f: set_to(f, base_model_name_or_path=None), "names no base_model_name_or_path"),
        (
            lambda f: set_to(f, base_model_name_or_path="org/none"),
            "adapter of org/none, which is no folder here",
        ),
        (lambda f: set_to(f, r=3), "does not fit"),
        (lambda f: edited(f, lambda t: {k: v for k, v in t.items() if "s.0." not in k}), "lacks tensors for"),
        (
            lambda f: edited(f, lambda t: t | {k.replace("s.0.", "s.7."): v.clone() for k, v in t.items()}),
            "has tensors that fit nowhere in",
        ),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"{"), "cannot be read"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "does not parse"),
    ],
    ids=["kind", "pickle", "no base", "no such base", "rank", "missing", "nowhere", "torn", "settings"],
)
def test_what_cannot_be_merged_is_refused_in_one_line_before_anything_is_written(
    hurt: Callable[[Path], object], why: str, base: Path, small_recipe: Rft, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    adapter(folder, base, r=2)
    hurt(folder)
    with pytest.raises(ModelError, match=why) as refused:
        check(small_recipe, "ada", str(tmp_path / "lake"), str(folder))
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)
    assert not (tmp_path / "lake").exists()


def test_new_tokens_for_one_side_of_a_model_are_refused(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", base, rows=259, target_modules=["q_proj", "embed_tokens"])
    why = "259 embeddings for one side of the model alone"
    with pytest.raises(ModelError, match=why), whole_model(tmp_path / "adapter"):
        pass


def test_an_adapter_of_another_kind_is_refused(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", base, kind=IA3Config, feedforward_modules=["down_proj"])
    with pytest.raises(ModelError, match="of kind IA3"), whole_model(tmp_path / "adapter"):
        pass


def test_a_base_is_found_by_its_name_below_the_folders_that_are_named(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter(tmp_path / "adapter", base, r=2)
    set_to(tmp_path / "adapter", base_model_name_or_path="org/tiny-1B")
    places = tmp_path / "a" / "tiny-1B", tmp_path / "hub" / "models--org--tiny-1B" / "snapshots" / "0f"
    for place in places:
        shutil.copytree(base, place)
    for searched in ("a", "hub"):
        monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / searched))
        with whole_model(tmp_path / "adapter") as model:
            assert str(tmp_path / searched) in str(model.merged)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="of which there are two: "), whole_model(tmp_path / "adapter"):
        pass


def test_a_loop_of_an_adapter_stands_alone_and_goes_on_without_its_base(
    small_recipe: Rft, tmp_path: Path
) -> None:
    tutor, folder, lake = tmp_path / "tutor", tmp_path / "adapter", Lake.create(str(tmp_path / "lake"))
    shutil.copytree(BASE, tutor)
    adapter(folder, tutor, r=2)
    edited(folder, lambda tensors: {name: 0.02 * one for name, one in tensors.items()})
    opening = check(small_recipe, "ada", lake.where, str(folder))
    assert opening is not None
    assert opening.remarks[0].startswith(f"{folder} is an adapter (LoRA, rank 2): merged into its base")
    night.fn(small_recipe, "ada", 1, lake.where, str(folder))
    state = fold(lake, "ada")
    assert state is not None
    assert state.base.folder.is_relative_to(lake.root / "models")
    assert weights_hash(state.base.folder) == opening.content_hash != weights_hash(tutor)
    beside: Any = PeftModel.from_pretrained(load_model(tutor), folder)
    assert torch.allclose(logits(load_model(state.base.folder)), logits(beside), atol=1e-3)
    (origin,) = read(lake, "checkpoints").filter(read(lake, "checkpoints")["training_id"].is_null())["origin"]
    assert json.loads(origin)["base_hash"] == weights_hash(tutor)
    shutil.rmtree(tutor)
    assert check(small_recipe, "ada", lake.where, str(folder)) is None
    aside = folder.rename(tmp_path / "aside")
    assert check(small_recipe, "ada", lake.where, str(folder)) is None, "nor the adapter itself"
    with pytest.raises(BadInput, match=r"no model folder at .*: loop ada has its base, give no --model"):
        check(small_recipe, "ada", lake.where, str(tmp_path / "nowhere"))
    aside.rename(folder)
    edited(folder, lambda tensors: {name: 2 * one for name, one in tensors.items()})
    with pytest.raises(BadInput, match="loop ada began from"):
        check(small_recipe, "ada", lake.where, str(folder))


def test_the_check_merges_it_too(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", base, r=2)
    done = CliRunner().invoke(main, ["check", str(tmp_path / "adapter"), "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["model"] == str(tmp_path / "adapter")
    assert "(LoRA, rank 2): merged into its base" in told["remarks"][0]


def test_settings_that_are_not_known_here_are_told(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", base, r=2)
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_newer": True, "newer": None}))
    with whole_model(tmp_path / "adapter") as model:
        assert str(model.merged).endswith("in float32; what its use_newer may change is not known here")
