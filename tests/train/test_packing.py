"""Padding-free batches: the loss, gradient and ledger of padded ones, or a clear no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, MambaConfig, MistralConfig

from schemas.errors import TrainingFailed
from schemas.job import Lora, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.objective import IGNORED, Batch
from tasks.train.objectives.sft import SFT
from tasks.train.packing import keep_apart, pack
from tests.train.conftest import told

MakeJob = Callable[..., TrainingJob]
NewModel = Callable[..., Path]
CPU = torch.device("cpu")


def loss_and_gradient(model: Any, callee: Any, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = SFT.loss(callee, batch).total
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("chat", [True, False])
def test_a_row_of_examples_has_the_loss_and_gradient_of_a_padded_batch(
    new_model: NewModel, examples: pl.DataFrame, tmp_path: Path, grouped: bool, chat: bool
) -> None:
    template = {} if chat else {"template": None}
    folder = new_model(tmp_path, **template, num_key_value_heads=2 if grouped else 4)
    encoded = SFT.encode(load_tokenizer(folder), examples)
    # An example without a prompt: its first token must not be predicted from the example before.
    bare = encoded[3].tensors["labels"] != IGNORED
    encoded[3] = replace(encoded[3], tensors={k: v[bare] for k, v in encoded[3].tensors.items()})
    model = load_model(folder).train()
    padded, expected = loss_and_gradient(model, model, collate(encoded, SFT.padding, CPU))
    keep_apart(model)
    packed, actual = loss_and_gradient(model, *pack(model, encoded, CPU))
    assert packed == pytest.approx(padded, rel=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    "hyper",
    [{}, {"lora": Lora(rank=2), "gradient_checkpointing": True}],
    ids=["all weights", "lora, checkpointing"],
)
def test_a_padding_free_training_keeps_the_padded_ones_ledger(
    make_job: MakeJob, hyper: dict[str, Any]
) -> None:
    padded = train(make_job("padded", micro_batch_size=5, **hyper))
    packed = train(make_job("packed", micro_batch_size=5, packing="padding-free", **hyper))
    same = ["step", "epoch", "example_ids", "learning_rate", "tokens"]
    assert told(packed).select(same).equals(told(padded).select(same))
    for measured in ("loss", "grad_norm"):
        assert told(packed)[measured].to_list() == pytest.approx(told(padded)[measured].to_list(), rel=1e-3)
    for name in ("config.json", "generation_config.json"):
        assert (packed.checkpoint / name).read_text() == (padded.checkpoint / name).read_text()


def with_config(folder: Path, config: Any) -> Path:
    """The folder's tokenizer with a random model of another kind."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 320}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}


def test_learned_positions_start_anew_with_each_example(
    make_job: MakeJob, new_model: NewModel, tmp_path: Path
) -> None:
    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=320, n_positions=256)
    folder = with_config(new_model(tmp_path / "gpt2"), config)
    dropless = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    config.update(dropless)
    with_config(folder, config)
    padded, packed = (
        train(make_job(name, folder=folder, epochs=1, packing=name)) for name in ("none", "padding-free")
    )
    assert told(packed)["loss"].to_list() == pytest.approx(told(padded)["loss"].to_list(), rel=1e-4)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (MambaConfig(**SIZES, state_size=4), "cannot be padding-free"),
        (MistralConfig(**SIZES, **HEADS, sliding_window=16), "reaches back 16 tokens alone"),
    ],
    ids=["state that runs on", "a window"],
)
def test_a_model_that_does_more_than_attend_within_a_row_is_refused(
    make_job: MakeJob, new_model: NewModel, tmp_path: Path, config: Any, why: str
) -> None:
    folder = with_config(new_model(tmp_path / "other"), config)
    job = make_job(folder=folder, packing="padding-free")
    with pytest.raises(TrainingFailed, match=why) as refused:
        train(job)
    assert "\n" not in str(refused.value)
    assert not Path(job.output, "result.json").exists()


def test_an_objective_of_more_than_one_sequence_is_refused(make_job: MakeJob, pairs: pl.DataFrame) -> None:
    job = make_job(rows=pairs, objective="dpo", packing="padding-free")
    with pytest.raises(TrainingFailed, match="objective dpo cannot be padding-free"):
        train(job)
