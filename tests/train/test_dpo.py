"""The DPO loss is TRL's; demonstrations are plain fine-tuning; the training keeps what every one promises."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from accelerate import Accelerator

from schemas.job import Dpo, Hyperparameters, Lora, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.train.base_logprobs import with_base_logprobs
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.dpo import dpo
from tasks.train.objectives.objective import BASE_LOGPROBS, Encoded, Loss
from tasks.train.records import ledger_rows
from tasks.train.result import read_result
from tests.train.conftest import told
from tests.train.gradients import assert_same, gradients

MakeJob = Callable[..., TrainingJob]
Train = Callable[..., int | None]
CPU = torch.device("cpu")


@pytest.fixture
def policy(base: Path, new_model: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A model some way from its reference, and the reference: `policy(chat)`."""

    def make(chat: bool = True) -> tuple[Path, Path]:
        reference = base if chat else new_model(tmp_path / "plain", template=None)
        model = load_model(reference)
        torch.manual_seed(3)
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        model.save_pretrained(tmp_path / "policy")
        load_tokenizer(reference).save_pretrained(tmp_path / "policy")
        return tmp_path / "policy", reference

    return make


def encoded(reference: Path, rows: pl.DataFrame, *, size: int = 5) -> list[Encoded]:
    objective, model = dpo(Dpo()), load_model(reference)
    plain = objective.encode(load_tokenizer(reference), rows)
    return with_base_logprobs(objective, Accelerator(cpu=True), model, plain, size)


def ours(
    policy: Path, reference: Path, rows: pl.DataFrame, settings: Dpo
) -> tuple[Loss, dict[str, torch.Tensor]]:
    model, objective = load_model(policy).train(), dpo(settings)
    loss = objective.loss(model, collate(encoded(reference, rows), objective.padding, CPU))
    (loss.total / rows.height).backward()
    return loss, gradients(model)


@pytest.mark.parametrize(
    ("chat", "settings"),
    [(True, Dpo()), (False, Dpo(beta=0.5)), (True, Dpo(beta=2.0, length_normalised=True))],
)
def test_dpo_loss_gradient_and_rewards_equal_trl(
    chat: bool, settings: Dpo, policy: Callable[..., tuple[Path, Path]], pairs: pl.DataFrame, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    learner, reference = policy(chat)
    rows = pairs.drop_nulls()
    assert rows["chosen"].str.len_bytes().n_unique() > 4

    def told(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
        if not chat:
            return {"prompt": f"Question: {prompt}\nAnswer:", "chosen": chosen, "rejected": rejected}
        answers = {"chosen": chosen, "rejected": rejected}
        turns = {side: [{"role": "assistant", "content": text}] for side, text in answers.items()}
        return {"prompt": [{"role": "user", "content": prompt}]} | turns

    trainer = DPOTrainer(
        load_model(learner),
        ref_model=load_model(reference),
        args=DPOConfig(
            output_dir=str(tmp_path / "trl"),
            per_device_train_batch_size=rows.height,
            beta=settings.beta,
            loss_type=["sigmoid_norm" if settings.length_normalised else "sigmoid"],
            max_length=None,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list([told(*row) for row in rows.drop("example_id").rows()]),
        processing_class=load_tokenizer(learner),
    )
    loss = trainer.compute_loss(trainer.model.train(), next(iter(trainer.get_train_dataloader())))
    loss.backward()
    total_loss, gradient = ours(learner, reference, rows, settings)
    assert total_loss.total.item() / rows.height == pytest.approx(loss.item(), rel=1e-5)
    assert total_loss.total.item() / rows.height != pytest.approx(math.log(2), rel=1e-3)
    # A response's log-probability is near -100, which float32 holds to 1e-5; ours in float64 is as far off.
    assert_same(gradient, gradients(trainer.model), atol=1e-5)
    if not settings.length_normalised:  # TRL records rewards that it did not normalise
        theirs = {name: values[0] for name, values in trainer._metrics["train"].items()}
        means = {name: (mean.total / mean.over).item() for name, mean in total_loss.metrics.items()}
        assert means["reward_accuracy"] == pytest.approx(theirs["rewards/accuracies"])
        assert means["reward_margin"] == pytest.approx(theirs["rewards/margins"], rel=1e-4)
        assert means["reward_chosen"] == pytest.approx(theirs["rewards/chosen"], rel=1e-4)


def test_a_demonstration_is_fine_tuned_on_by_its_weight(
    policy: Callable[..., tuple[Path, Path]], pairs: pl.DataFrame
) -> None:
    learner, reference = policy()
    rows, settings = pairs.filter(pl.col("rejected").is_null()), Dpo(demonstration_weight=0.25)
    model, objective = load_model(learner).train(), dpo(settings)
    losses = []
    for example in objective.encode(load_tokenizer(learner), rows):
        ids, labels = (example.tensors[f"chosen_{what}"].long()[None] for what in ("ids", "labels"))
        losses.append(model(input_ids=ids, labels=labels).loss)
    (0.25 * torch.stack(losses).mean()).backward()
    total_loss, gradient = ours(learner, reference, rows, settings)
    assert total_loss.total.item() == pytest.approx(0.25 * sum(losses).item(), rel=1e-5)
    assert_same(gradient, gradients(model))


def test_pairs_and_demonstrations_in_one_batch_add_up(
    policy: Callable[..., tuple[Path, Path]], pairs: pl.DataFrame
) -> None:
    learner, reference = policy()
    parts = [pairs.filter(pl.col("rejected").is_null() == taught) for taught in (True, False)]
    whole, gradient = ours(learner, reference, pairs, Dpo())
    apart = [ours(learner, reference, part, Dpo()) for part in parts]
    assert whole.total.item() == pytest.approx(sum(loss.total.item() for loss, _ in apart), rel=1e-5)
    shares = [part.height / pairs.height for part in parts]
    sums = {name: sum(s * g[name] for s, (_, g) in zip(shares, apart, strict=True)) for name in gradient}
    assert_same(gradient, sums)


def test_the_reference_is_the_base_whatever_is_in_a_batch(base: Path, pairs: pl.DataFrame) -> None:
    together, alone = encoded(base, pairs, size=22), encoded(base, pairs, size=1)
    model = load_model(base)
    for left, right in zip(together, alone, strict=True):
        torch.testing.assert_close(
            left.tensors[BASE_LOGPROBS], right.tensors[BASE_LOGPROBS], rtol=1e-5, atol=1e-4
        )
        ids, labels = (left.tensors[f"chosen_{what}"].long()[None] for what in ("ids", "labels"))
        count = int((labels[:, 1:] != -100).sum())
        expected = -model(input_ids=ids, labels=labels).loss.item() * count
        assert left.tensors[BASE_LOGPROBS][0].item() == pytest.approx(expected, rel=1e-5)


def test_a_training_begins_at_its_reference_and_learns_to_tell_the_pairs(
    make_job: MakeJob, pairs: pl.DataFrame
) -> None:
    rows = pairs.drop_nulls()
    result = train(make_job(objective="dpo", rows=rows, epochs=30, batch_size=18, learning_rate=1e-2))
    ledger = pl.read_parquet(result.ledger)
    assert ledger["loss"][0] == pytest.approx(math.log(2), rel=1e-4)
    assert ledger["reward_margin"][0] == pytest.approx(0, abs=1e-4)
    assert ledger["reward_accuracy"][-1] > 0.9
    assert ledger["loss"][-1] < 0.5 * ledger["loss"][0]
    assert ledger["demonstration_loss"].is_null().all()


def test_the_ledger_tells_of_pairs_and_demonstrations_apart(make_job: MakeJob, pairs: pl.DataFrame) -> None:
    job = make_job(objective="dpo", rows=pairs, batch_size=1, micro_batch_size=1)
    rows = ledger_rows(job, train(job), 0).with_columns(pl.col("example_ids").list.first())
    taught = pairs.filter(pl.col("rejected").is_null())["example_id"].implode()
    for row in rows.with_columns(taught=pl.col("example_ids").is_in(taught)).to_dicts():
        rewards = {row[name] is None for name in ("reward_accuracy", "reward_margin", "reward_chosen")}
        assert rewards == {row["taught"]}
        assert (row["demonstration_loss"] is None) != row["taught"]


@pytest.mark.parametrize("fault", ["train: step done#1", "train: step done#5", "train: save written#2"])
def test_a_killed_training_resumes_to_the_same_bit(
    make_job: MakeJob, in_another_process: Train, pairs: pl.DataFrame, fault: str
) -> None:
    hyper = {"save_every": 2, "micro_batch_size": 3, "lora": Lora(rank=2, dropout=0.5)}
    undisturbed = train(make_job("whole", objective="dpo", rows=pairs, **hyper))
    job = make_job("killed", objective="dpo", rows=pairs, **hyper)
    assert in_another_process(job, fault) == -9
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))


def test_a_job_in_another_process_gives_the_weights_of_one_in_this(
    make_job: MakeJob, in_another_process: Train, pairs: pl.DataFrame
) -> None:
    settings = {"objective": "dpo", "rows": pairs, "dpo": Dpo(beta=0.3, demonstration_weight=0.5)}
    here, job = train(make_job("here", **settings)), make_job("there", **settings)
    assert in_another_process(job) == 0
    there = read_result(job)
    assert there is not None
    assert here.weights_hash == there.weights_hash
    assert told(here).equals(told(there))
    others = settings | {"dpo": Dpo(beta=0.3, demonstration_weight=0.4)}
    assert train(make_job("others", **others)).weights_hash != here.weights_hash


def test_hyperparameters_without_dpo_read_and_hash_as_before_there_was_any() -> None:
    assert "dpo" not in Hyperparameters().model_dump_json()
    hyper = Hyperparameters(dpo=Dpo())
    assert Hyperparameters.model_validate_json(hyper.model_dump_json()) == hyper


def test_a_chosen_weight_adds_what_fine_tuning_on_chosen_would(
    policy: Callable[..., tuple[Path, Path]], pairs: pl.DataFrame
) -> None:
    learner, reference = policy()
    rows = pairs.drop_nulls()
    alone, without = ours(learner, reference, rows, Dpo())
    both, together = ours(learner, reference, rows, Dpo(chosen_weight=0.5))
    chosen_alone = rows.with_columns(rejected=pl.lit(None, pl.String))
    taught, added = ours(learner, reference, chosen_alone, Dpo(demonstration_weight=0.5))
    assert both.total.item() == pytest.approx((alone.total + taught.total).item(), rel=1e-5)
    assert_same(together, {name: without[name] + added[name] for name in without}, atol=1e-5)
