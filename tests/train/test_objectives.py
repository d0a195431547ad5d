"""The SFT loss is the field's own: TRL's, transformers', and the same however a batch is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from schemas.errors import BadInput
from schemas.job import Hyperparameters
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.models.rendering import prompt_ids
from tasks.models.turns import end_of_turn
from tasks.train.batches import collate
from tasks.train.objectives.objective import IGNORED
from tasks.train.objectives.registry import get_objective
from tasks.train.objectives.sft import SFT
from tests.train.gradients import assert_same, gradients

NewModel = Callable[..., Path]
CPU = torch.device("cpu")
WITH_NEWLINE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"


def ours(base: Path, examples: pl.DataFrame) -> tuple[float, dict[str, torch.Tensor]]:
    model = load_model(base).train()
    encoded = SFT.encode(load_tokenizer(base), examples)
    loss = SFT.loss(model, collate(encoded, SFT.padding, CPU)).total / sum(e.units for e in encoded)
    loss.backward()
    return loss.item(), gradients(model)


def test_sft_loss_and_gradient_equal_transformers_own(base: Path, examples: pl.DataFrame) -> None:
    model, tokenizer = load_model(base).train(), load_tokenizer(base)
    batch = collate(SFT.encode(tokenizer, examples), SFT.padding, CPU)
    mask = torch.zeros_like(batch["input_ids"])
    for row, example in enumerate(SFT.encode(tokenizer, examples)):
        mask[row, : example.length] = 1
    loss = model(input_ids=batch["input_ids"], attention_mask=mask, labels=batch["labels"]).loss
    loss.backward()
    value, gradient = ours(base, examples)
    assert value == pytest.approx(loss.item(), rel=1e-6)
    assert_same(gradient, gradients(model))


@pytest.mark.parametrize("chat", [True, False])
def test_sft_loss_and_gradient_equal_trl(
    chat: bool, base: Path, new_model: NewModel, examples: pl.DataFrame, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    folder = base if chat else new_model(tmp_path / "plain", template=None)
    texts = examples.select("prompt", "response").rows()
    if chat:
        rows: list[dict[str, Any]] = [
            {
                "prompt": [{"role": "user", "content": prompt}],
                "completion": [{"role": "assistant", "content": response}],
            }
            for prompt, response in texts
        ]
    else:
        rows = [{"prompt": f"Question: {p}\nAnswer:", "completion": r} for p, r in texts]
    settings = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        per_device_train_batch_size=len(rows),
        completion_only_loss=True,
        max_length=None,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
    )
    trainer = SFTTrainer(
        load_model(folder),
        settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=load_tokenizer(folder),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    model = trainer.model.train()
    items = (batch["labels"] != IGNORED).sum()
    loss = trainer.compute_loss(model, batch, num_items_in_batch=items)
    loss.backward()
    value, gradient = ours(folder, examples)
    assert value == pytest.approx(loss.item(), rel=1e-6)
    assert_same(gradient, gradients(model))


def test_the_prompt_is_encoded_as_generation_puts_it(base: Path, examples: pl.DataFrame) -> None:
    tokenizer = load_tokenizer(base)
    for row, example in zip(examples.to_dicts(), SFT.encode(tokenizer, examples), strict=True):
        prompt = prompt_ids(tokenizer, row["prompt"])
        ids, labels = example.tensors["input_ids"].tolist(), example.tensors["labels"].tolist()
        assert ids[: len(prompt)] == prompt
        assert labels == [IGNORED] * len(prompt) + ids[len(prompt) :]
        assert tokenizer.decode(ids[len(prompt) :]) == row["response"] + "<|end|>"
        assert example.units == len(ids) - len(prompt)


def test_an_answer_ends_with_what_the_chat_template_ends_it_with(
    base: Path, new_model: NewModel, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(base)
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    other = load_tokenizer(new_model(tmp_path, WITH_NEWLINE.replace("<|end|>", "<|pad|>")))
    assert end_of_turn(other) == other.pad_token_id != other.eos_token_id


def test_an_unknown_objective_names_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"'magic'.*sft, dpo"):
        get_objective("magic", Hyperparameters())
