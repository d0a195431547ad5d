"""Preference models and critics: TRL's loss, numbers that no padding changes, folders anybody can load."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from schemas.errors import BadInput, ModelError, TrainingFailed
from schemas.job import Hyperparameters, Lora, Reward, TrainingJob, Value
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.heads import Head, load_scalar
from tasks.models.rendering import prompt_ids
from tasks.models.scalar import answer_sequences, text_scores, token_values
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.objective import Loss
from tasks.train.objectives.reward import reward
from tasks.train.objectives.value import value
from tests.train.conftest import told
from tests.train.gradients import assert_same, gradients

MakeJob = Callable[..., TrainingJob]
Train = Callable[..., int | None]
CPU = torch.device("cpu")
OBJECTIVES: dict[str, tuple[Head, str]] = {
    "reward": ("sequence", "soft_pairs"),
    "value": ("token", "rollouts"),
}


@pytest.fixture
def preferring(base: Path, new_model: Callable[..., Path], tmp_path: Path) -> Callable[[bool], Path]:
    """A preference model with a head some way from zero: `preferring(chat)`."""

    def make(chat: bool = True) -> Path:
        folder = base if chat else new_model(tmp_path / "plain", template=None)
        model = load_scalar(folder, "sequence", seed=5)
        model.save_pretrained(tmp_path / "preferring")
        load_tokenizer(folder).save_pretrained(tmp_path / "preferring")
        return tmp_path / "preferring"

    return make


def learned(folder: Path, rows: pl.DataFrame, settings: Reward) -> tuple[Loss, dict[str, torch.Tensor]]:
    model, objective = load_scalar(folder, "sequence").train(), reward(settings)
    batch = collate(objective.encode(load_tokenizer(folder), rows), objective.padding, CPU)
    loss = objective.loss(model, batch)
    (loss.total / rows.height).backward()
    return loss, gradients(model)


@pytest.mark.parametrize(("chat", "settings"), [(True, Reward()), (False, Reward(centring=0.01))])
def test_reward_loss_gradient_and_metrics_equal_trl_where_labels_are_hard(
    chat: bool, settings: Reward, preferring: Callable[[bool], Path], soft_pairs: pl.DataFrame, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    folder = preferring(chat)
    rows = soft_pairs.with_columns(probability=pl.lit(None, pl.Float64))

    def written(prompt: str, chosen: str, rejected: str, _: None) -> dict[str, Any]:
        answers = {"chosen": chosen, "rejected": rejected}
        if not chat:
            return {"prompt": f"Question: {prompt}\nAnswer:"} | answers
        asked = [{"role": "user", "content": prompt}]
        return {side: [*asked, {"role": "assistant", "content": text}] for side, text in answers.items()}

    trainer = RewardTrainer(
        AutoModelForSequenceClassification.from_pretrained(folder),
        args=RewardConfig(
            output_dir=str(tmp_path / "trl"),
            per_device_train_batch_size=rows.height,
            center_rewards_coefficient=settings.centring or None,
            max_length=None,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list([written(*row) for row in rows.drop("example_id").rows()]),
        processing_class=load_tokenizer(folder),
    )
    loss = trainer.compute_loss(trainer.model.train(), next(iter(trainer.get_train_dataloader())))
    loss.backward()
    total, gradient = learned(folder, rows, settings)
    assert total.total.item() / rows.height == pytest.approx(loss.item(), rel=1e-5)
    assert total.total.item() / rows.height != pytest.approx(math.log(2), rel=1e-3)
    assert_same(gradient, gradients(trainer.model), atol=1e-6)
    theirs = {name: values[0] for name, values in trainer._metrics["train"].items()}
    means = {name: (mean.total / mean.over).item() for name, mean in total.metrics.items()}
    assert means["reward_accuracy"] == pytest.approx(theirs["accuracy"])
    assert means["reward_margin"] == pytest.approx(theirs["margin"], rel=1e-4)


def test_a_soft_label_is_the_mean_of_both_certain_ones_by_its_probability(
    preferring: Callable[[bool], Path], soft_pairs: pl.DataFrame
) -> None:
    folder, rows = preferring(True), soft_pairs.filter(pl.col("probability") < 1).head(1)
    share = rows["probability"][0]
    certain = rows.with_columns(probability=pl.lit(None, pl.Float64))
    turned = certain.rename({"chosen": "rejected", "rejected": "chosen"})
    (soft, gradient), (left, lefts), (right, rights) = (
        learned(folder, one, Reward()) for one in (rows, certain, turned)
    )
    assert 0.5 <= share < 1
    assert soft.total.item() == pytest.approx(share * left.total.item() + (1 - share) * right.total.item())
    assert_same(gradient, {name: share * lefts[name] + (1 - share) * rights[name] for name in lefts})


def test_hard_labels_are_soft_ones_whose_better_side_is_certain(
    preferring: Callable[[bool], Path], soft_pairs: pl.DataFrame
) -> None:
    folder, p = preferring(True), pl.col("probability")
    either = soft_pairs.with_columns(
        probability=pl.when(pl.int_range(pl.len()) % 4 == 1).then(1 - p).otherwise(p)
    )
    certain = either.with_columns(probability=pl.when(p == 0.5).then(p).otherwise((p > 0.5).cast(pl.Float64)))
    assert certain["probability"].n_unique() > 2
    assert not certain.equals(either)
    hard, gradient = learned(folder, either, Reward(labels="hard"))
    soft, expected = learned(folder, certain, Reward())
    assert hard.total.item() == pytest.approx(soft.total.item())
    assert_same(gradient, expected)


def test_a_value_is_read_before_its_token_and_its_loss_clipped_as_ppo_has_it(
    base: Path, rollouts: pl.DataFrame
) -> None:
    model, tokenizer, rows = load_scalar(base, "token", seed=5), load_tokenizer(base), rollouts.head(3)
    expected, count, held = 0.0, 0, 0
    for row in rows.to_dicts():
        prompt = prompt_ids(tokenizer, row["prompt"])
        numbers = model(input_ids=torch.tensor([prompt + row["token_ids"]])).logits[0].tolist()
        for place, (gain, old) in enumerate(zip(row["returns"], row["values"], strict=True)):
            now = numbers[len(prompt) - 1 + place]
            bound = min(max(now, old - 0.2), old + 0.2)
            expected += 0.5 * max((now - gain) ** 2, (bound - gain) ** 2)
            count, held = count + 1, held + ((bound - gain) ** 2 > (now - gain) ** 2)
    objective = value(Value())
    encoded = objective.encode(tokenizer, rows)
    loss = objective.loss(model, collate(encoded, objective.padding, CPU))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert sum(one.units for one in encoded) == count
    assert 0 < held < count
    assert (loss.metrics["value_clipped"].total, loss.metrics["value_clipped"].over) == (held, count)
    free = value(Value(clip=None))
    plain = free.loss(model, collate(free.encode(tokenizer, rows), free.padding, CPU))
    assert plain.total.item() < loss.total.item()


def test_a_rollout_whose_lists_differ_in_length_is_refused(make_job: MakeJob, rollouts: pl.DataFrame) -> None:
    short = rollouts.with_columns(pl.col("returns").list.head(2))
    with pytest.raises(TrainingFailed, match=r"example ex-00 has 2 returns for \d+ tokens"):
        train(make_job(objective="value", rows=short))


@pytest.mark.parametrize("column", ["returns", "values"])
@pytest.mark.parametrize("number", [None, math.nan])
def test_a_rollout_with_what_is_no_number_is_refused_by_its_name(
    base: Path, rollouts: pl.DataFrame, column: str, number: float | None
) -> None:
    lists = rollouts[column].to_list()
    lists[3][1] = number
    rows = rollouts.with_columns(pl.Series(column, lists))
    with pytest.raises(TrainingFailed, match=f"example ex-03 has {column} that are no finite numbers"):
        value(Value()).encode(load_tokenizer(base), rows)


@pytest.fixture(params=OBJECTIVES)
def trained(request: pytest.FixtureRequest, make_job: MakeJob) -> tuple[str, Head, pl.DataFrame, TrainingJob]:
    """A finished training of each objective that has a scalar head."""
    head, fixture = OBJECTIVES[request.param]
    rows = request.getfixturevalue(fixture)
    job = make_job(objective=request.param, rows=rows, epochs=12)
    train(job)
    return request.param, head, rows, job


def test_a_checkpoint_is_a_folder_that_transformers_reads_alike_and_padding_changes_nothing(
    trained: tuple[str, Head, pl.DataFrame, TrainingJob],
) -> None:
    _, head, rows, job = trained
    folder, ledger = Path(job.output) / "checkpoint", pl.read_parquet(Path(job.output) / "steps.parquet")
    assert ledger["loss"][-3:].mean() < 0.8 * ledger["loss"][:3].mean()  # type: ignore[operator]
    tokenizer = load_tokenizer(folder)
    if head == "sequence":
        theirs: Any = AutoModelForSequenceClassification.from_pretrained(folder)
        sequences = answer_sequences(tokenizer, rows["prompt"].to_list(), rows["chosen"].to_list())
        scores = [text_scores(folder, sequences, batch=size) for size in (1, 5, 22)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
        assert scores[0] == pytest.approx(scores[2], abs=1e-5)
        with torch.no_grad():
            alone = [theirs(input_ids=torch.tensor([ids])).logits.item() for ids in sequences]
        assert scores[2] == pytest.approx(alone, abs=1e-5)
        assert len({round(score, 3) for score in alone}) > 10
        return
    theirs = AutoModelForTokenClassification.from_pretrained(folder)
    prompts = [prompt_ids(tokenizer, prompt) for prompt in rows["prompt"]]
    values = [token_values(folder, prompts, rows["token_ids"].to_list(), batch=size) for size in (1, 22)]
    for prompt, tokens, one, other in zip(prompts, rows["token_ids"], *values, strict=True):
        with torch.no_grad():
            alone = (
                theirs.eval()(input_ids=torch.tensor([prompt + tokens.to_list()])).logits[0, :, 0].tolist()
            )
        assert one == pytest.approx(other, abs=1e-5)
        assert one == pytest.approx(alone[len(prompt) - 1 : -1], abs=1e-5)
        assert len(one) == len(tokens)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("lora", [None, Lora(rank=2, dropout=0.5)], ids=["whole", "adapters"])
def test_a_killed_training_with_a_head_resumes_to_the_same_bit(
    objective: str,
    lora: Lora | None,
    make_job: MakeJob,
    in_another_process: Train,
    request: pytest.FixtureRequest,
) -> None:
    rows = request.getfixturevalue(OBJECTIVES[objective][1])
    hyper = {"objective": objective, "rows": rows, "save_every": 2, "micro_batch_size": 3, "lora": lora}
    undisturbed = train(make_job("whole", **hyper))
    job = make_job("killed", **hyper)
    assert in_another_process(job, "train: step done#5") == -9
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))


def test_adapters_leave_a_checkpoint_whose_head_is_trained_whole(
    make_job: MakeJob, soft_pairs: pl.DataFrame
) -> None:
    job = make_job(objective="reward", rows=soft_pairs, lora=Lora(rank=2), epochs=1)
    result = train(job)
    started = load_scalar(Path(job.base), "sequence", seed=job.seed)
    ended = load_scalar(result.checkpoint, "sequence")
    moved = {name for name, one in ended.named_parameters() if not one.equal(started.get_parameter(name))}
    assert "score.weight" in moved
    assert any("q_proj" in name for name in moved)
    assert not any("embed" in name or "norm" in name for name in moved)


def test_a_head_is_drawn_by_the_seed_and_goes_on_where_a_training_left_it(
    base: Path, make_job: MakeJob, soft_pairs: pl.DataFrame
) -> None:
    one, again, other = (
        load_scalar(base, "sequence", seed=seed).get_parameter("score.weight") for seed in (1, 1, 2)
    )
    assert one.equal(again)
    assert not one.equal(other)
    assert one.std().item() == pytest.approx((32 + 1) ** -0.5, rel=0.4)
    result = train(make_job(objective="reward", rows=soft_pairs, epochs=1))
    head = load_scalar(result.checkpoint, "sequence").get_parameter("score.weight")
    for started in (
        load_scalar(result.checkpoint, "sequence", seed=9),
        load_scalar(result.checkpoint, "token", seed=9),
    ):
        assert started.get_parameter("score.weight").equal(head)
    assert not load_scalar(result.checkpoint, "token", seed=9).get_parameter("score.bias").any()


def test_what_gives_no_number_is_refused_in_one_line(
    base: Path, make_job: MakeJob, soft_pairs: pl.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="has no head that gives a number") as refused:
        text_scores(base, [[1, 2]])
    assert "\n" not in str(refused.value)
    folder = train(make_job(objective="reward", rows=soft_pairs, epochs=1)).checkpoint
    with pytest.raises(BadInput, match="300 tokens, more than the 256"):
        text_scores(folder, [[1], [1] * 300])
    with pytest.raises(BadInput, match="without tokens"):
        text_scores(folder, [[]])
    with pytest.raises(ModelError, match=r"does not use: score\.weight"):
        load_model(folder)
    settings = {"objective": "reward", "rows": soft_pairs}
    with pytest.raises(TrainingFailed, match="cannot be padding-free"):
        train(make_job("packed", packing="padding-free", **settings))
    with pytest.raises(TrainingFailed, match="no form with a scalar head"):
        train(make_job("quantised", lora=Lora(quantize="nf4"), **settings))
    with pytest.raises(BadInput, match="a preference is between last answers"):
        train(make_job("turns", turns="all", **settings))


def test_a_model_whose_output_layer_is_its_own_and_that_drops_gets_a_head(
    new_model: Callable[..., Path], make_job: MakeJob, soft_pairs: pl.DataFrame, tmp_path: Path
) -> None:
    untied = new_model(tmp_path / "untied", tie_word_embeddings=False, attention_dropout=0.5)
    jobs = [
        make_job(name, folder=untied, objective="reward", rows=soft_pairs, epochs=1) for name in ("a", "b")
    ]
    first = train(jobs[0]).checkpoint
    written = json.loads((first / "config.json").read_text())
    assert written["architectures"] == ["LlamaForSequenceClassification"]
    assert written["attention_dropout"] == 0.5
    assert weights_hash(first) == train(jobs[1]).weights_hash


def test_hyperparameters_without_heads_read_and_hash_as_before_there_were_any() -> None:
    assert not {"reward", "value"} & set(json.loads(Hyperparameters().model_dump_json()))
    hyper = Hyperparameters(reward=Reward(centring=0.01), value=Value(clip=None))
    assert Hyperparameters.model_validate_json(hyper.model_dump_json()) == hyper
