"""Promises about what is asked of a base: adapters and packing that do not fit are refused before a loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from peft import PeftModel
from transformers import (
    GPT2Config,
    GPTNeoConfig,
    LlamaConfig,
    MambaConfig,
    PreTrainedConfig,
)

from schemas.errors import RecipeError
from schemas.job import Hyperparameters, Lora, TrainingJob
from tasks.models.checkpoint import load_model
from tasks.train import fits
from tasks.train.fits import check_fits
from tasks.train.loop import train
from tests.models.conftest import LLAMA, save

SIZE: dict[str, Any] = {"vocab_size": 257, "eos_token_id": 256, "bos_token_id": None, "pad_token_id": None}
TIED = LlamaConfig(**LLAMA, tie_word_embeddings=True, **SIZE)
FREE = LlamaConfig(**LLAMA, tie_word_embeddings=False, **SIZE)
MAMBA = MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=8, **SIZE)
NEO = GPTNeoConfig(
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    attention_types=[[["global", "local"], 1]],
    window_size=8,
    max_position_embeddings=64,
    **SIZE,
)
DROPPING = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256, **SIZE)


@pytest.mark.parametrize(
    ("config", "targets", "why"),
    [
        (FREE, ("q_proj", "nothing"), r"has no layer nothing"),
        (MAMBA, "all-linear", r"no adapters fit .*incompatible with Mamba"),
        (TIED, ("lm_head",), r"lm_head shares its weights with another layer"),
        (TIED, ("q_proj", "embed_tokens"), r"embed_tokens shares its weights with another layer"),
    ],
    ids=["a layer it lacks", "all-linear on Mamba", "a tied head", "tied embeddings"],
)
def test_adapters_that_do_not_fit_are_refused_in_one_line(
    config: PreTrainedConfig, targets: Any, why: str, tmp_path: Path
) -> None:
    hyper = Hyperparameters(lora=Lora(target_modules=targets))
    with pytest.raises(RecipeError, match=f"training.lora.target_modules: .*{why}") as refusal:
        check_fits(save(tmp_path, config), hyper)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize(
    "targets", ["all-linear", ("lm_head", "q_proj"), ("embed_tokens",)], ids=["all", "head", "embeddings"]
)
def test_a_checkpoint_equals_base_and_adapter(
    targets: Any, dora: bool, make_job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    base = save(tmp_path / "base", FREE)
    lora = Lora(target_modules=targets, dora=dora)
    check_fits(base, Hyperparameters(lora=lora))
    result = train(make_job(folder=base, lora=lora, epochs=1, learning_rate=1e-2))
    beside: Any = PeftModel.from_pretrained(load_model(base), Path(result.output) / "adapter")
    assert any("magnitude" in name for name, _ in beside.named_parameters()) == dora
    ids = torch.arange(20)[None]
    with torch.no_grad():
        apart = beside(input_ids=ids).logits
        assert torch.allclose(apart, load_model(result.checkpoint)(input_ids=ids).logits, atol=1e-3)
        assert not torch.allclose(apart, load_model(base)(input_ids=ids).logits, atol=1e-3)


def test_adapters_whose_merging_computes_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at tied layers is taken away: the second one, at what is computed, sees it too."""
    base = save(tmp_path, TIED)
    monkeypatch.setattr(fits, "_on_shared_weights", lambda adapted: None)
    with pytest.raises(RecipeError, match=r"merged into .* compute something else"):
        check_fits(base, Hyperparameters(lora=Lora(target_modules=("embed_tokens",))))


@pytest.mark.parametrize(("config", "why"), [(MAMBA, "changes what it says of the next"), (NEO, "size")])
def test_models_that_cannot_be_padding_free_are_refused(
    config: PreTrainedConfig, why: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"cannot be padding-free: .*{why}"):
        check_fits(save(tmp_path, config), Hyperparameters(packing="padding-free"))
    check_fits(save(tmp_path / "llama", FREE), Hyperparameters(packing="padding-free"))


def test_a_preference_objective_drops_nothing(
    make_job: Callable[..., TrainingJob], pairs: pl.DataFrame, tmp_path: Path
) -> None:
    """Before the first step policy and reference are the same weights: every margin is 0."""
    base = save(tmp_path / "base", DROPPING)
    assert load_model(base).config.attn_pdrop > 0
    only = pairs.filter(pl.col("rejected").is_not_null())
    ledger = pl.read_parquet(train(make_job(folder=base, rows=only, objective="dpo", epochs=1)).ledger)
    assert abs(ledger["reward_margin"][0]) < 1e-4
    assert ledger["loss"][0] == pytest.approx(0.6931, abs=1e-3)


def test_a_checkpoint_of_a_preference_objective_keeps_the_bases_dropout(
    make_job: Callable[..., TrainingJob], pairs: pl.DataFrame, tmp_path: Path
) -> None:
    base = save(tmp_path / "base", DROPPING)
    result = train(make_job(folder=base, rows=pairs, objective="dpo", epochs=1))
    assert load_model(result.checkpoint).config.attn_pdrop == load_model(base).config.attn_pdrop
