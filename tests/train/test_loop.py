"""What a training promises: the same weights to the bit, a whole ledger, and one clear line when it fails."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoConfig, get_cosine_schedule_with_warmup

from schemas.errors import BadInput, ModelError, SnapshotMismatch, TrainingFailed
from schemas.job import Chat, Hyperparameters, Lora, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.ends import end_ids
from tasks.train.batches import collate
from tasks.train.fits import check_fits
from tasks.train.loop import train
from tasks.train.machine import claimed
from tasks.train.objectives import registry
from tasks.train.objectives.objective import IGNORED, Batch, Loss, Mean
from tasks.train.objectives.sft import SFT
from tasks.train.optimizer import learning_rate
from tasks.train.result import TrainingResult
from tests.forked import Forks
from tests.train.conftest import told

MakeJob = Callable[..., TrainingJob]
Train = Callable[..., int | None]  # in another process: its exit code


def result_of(job: TrainingJob) -> TrainingResult:
    return TrainingResult.model_validate_json((Path(job.output) / "result.json").read_text())


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_same_job_gives_the_same_weights_to_the_bit(
    make_job: MakeJob, in_another_process: Train, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("RATCHET_CPU_THREADS", threads)
    here = train(make_job("a"))
    assert in_another_process(make_job("b")) == 0
    there = result_of(make_job("b"))
    assert here.weights_hash == there.weights_hash == weights_hash(here.checkpoint)
    assert told(here).equals(told(there))
    assert here.weights_hash != train(make_job("c").model_copy(update={"seed": 1})).weights_hash


@pytest.mark.parametrize(
    ("fault", "saved", "dora"),
    [
        ("train: step done#1", False, False),
        ("train: step done#5", True, False),
        ("train: step done#5", True, True),
        ("train: save written#2", True, False),
        ("train: checkpoint written", True, False),
        ("train: result written", True, False),
    ],
)
def test_a_killed_training_resumes_to_the_same_bit(
    make_job: MakeJob, in_another_process: Train, fault: str, saved: bool, dora: bool
) -> None:
    hyper = {"save_every": 2, "lora": Lora(rank=2, dropout=0.5, dora=dora)}
    undisturbed = train(make_job("whole", **hyper))
    job = make_job("killed", **hyper)
    assert in_another_process(job, fault) == -9
    assert any(Path(job.output, "saves").glob("step-*")) == saved
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))
    assert not Path(job.output, "saves").exists()


def test_a_checkpoint_names_the_end_of_turn_that_it_was_taught(make_job: MakeJob) -> None:
    plain, job = make_job("plain", epochs=1), make_job("named", epochs=1)
    named = job.model_copy(update={"chat": Chat(end_of_turn="<|user|>")})
    tokenizer = load_tokenizer(Path(job.base))
    token = tokenizer.get_vocab()["<|user|>"]
    first, second = train(plain), train(named)
    assert first.weights_hash != second.weights_hash
    ends = [end_ids(result.checkpoint) for result in (first, second)]
    assert [token in one for one in ends] == [False, True]
    assert set(ends[1]) >= set(ends[0])
    assert AutoConfig.from_pretrained(second.checkpoint).eos_token_id == tokenizer.eos_token_id
    assert "chat" not in plain.model_dump()


def test_a_damaged_save_is_passed_over(make_job: MakeJob, in_another_process: Train) -> None:
    whole, job = train(make_job("whole", save_every=2)), make_job("killed", save_every=2)
    assert in_another_process(job, "train: step done#5") == -9
    saves = Path(job.output, "saves")
    assert sorted(path.name for path in saves.iterdir()) == ["step-2", "step-4"]
    weights = saves / "step-4" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (saves / "step-6.partial").mkdir()
    seen: list[int] = []
    assert train(job, lambda taken: seen.append(taken.step)).weights_hash == whole.weights_hash
    assert seen == [3, 4, 5, 6]


def test_the_ledger_holds_every_example_once_an_epoch(make_job: MakeJob, examples: pl.DataFrame) -> None:
    result = train(make_job(epochs=3))
    ledger = pl.read_parquet(result.ledger)
    assert ledger["step"].to_list() == list(range(9))
    for epoch in ledger.partition_by("epoch"):
        ids = epoch.explode("example_ids")["example_ids"]
        assert sorted(ids) == sorted(examples["example_id"])
    assert ledger["tokens"].sum() == result.tokens
    assert ledger["loss"][-1] == result.final_loss < ledger["loss"][0]


@pytest.mark.parametrize("size", [None, 3])
def test_a_step_records_the_loss_and_gradient_that_transformers_computes(
    make_job: MakeJob, base: Path, examples: pl.DataFrame, size: int | None
) -> None:
    job = make_job(epochs=1, batch_size=22, micro_batch_size=size)
    step = pl.read_parquet(train(job).ledger).row(0, named=True)
    model, encoded = load_model(base).train(), SFT.encode(load_tokenizer(base), examples)
    loss = model(**collate(encoded, SFT.padding, torch.device("cpu"))).loss
    loss.backward()
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()])
    assert step["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert step["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)


def test_bf16_trains_and_says_so(make_job: MakeJob) -> None:
    result, exact = train(make_job("a", precision="bf16")), train(make_job("b"))
    assert (result.precision, exact.precision) == ("bf16", "fp32")
    assert result.weights_hash != exact.weights_hash
    assert result.final_loss == pytest.approx(exact.final_loss, rel=0.1)


def test_the_result_is_a_whole_model_folder(make_job: MakeJob, base: Path) -> None:
    result = train(make_job())
    names = {path.name for path in base.iterdir()}
    assert {path.name for path in result.checkpoint.iterdir()} == names
    for name in names - {"model.safetensors", "config.json"}:
        assert (result.checkpoint / name).read_bytes() == (base / name).read_bytes()
    assert load_tokenizer(result.checkpoint).chat_template == load_tokenizer(base).chat_template
    assert load_model(result.checkpoint).config.tie_word_embeddings


def test_lora_trains_adapters_alone_and_merges_them(make_job: MakeJob, base: Path) -> None:
    result = train(make_job(lora=Lora(rank=2, alpha=4, target_modules=("q_proj",))))
    before, after = load_model(base).state_dict(), load_model(result.checkpoint).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)}
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) <= 2
    settings = json.loads(Path(result.output, "adapter", "adapter_config.json").read_text())
    assert (settings["r"], settings["use_dora"]) == (2, False)


def test_dora_trains_magnitudes_too(make_job: MakeJob, base: Path) -> None:
    """A low rank beside scaled rows: what is changed has full rank, and the norms of its rows move."""
    hyper = {"rank": 2, "target_modules": ("q_proj",)}
    plain, dora = (train(make_job(f"dora {on}", lora=Lora(**hyper, dora=on))) for on in (False, True))
    settings = json.loads(Path(dora.output, "adapter", "adapter_config.json").read_text())
    assert settings["use_dora"] is True
    before, name = load_model(base).state_dict(), "model.layers.0.self_attn.q_proj.weight"
    change = [load_model(one.checkpoint).state_dict()[name] - before[name] for one in (plain, dora)]
    assert (
        torch.linalg.matrix_rank(change[0], rtol=1e-4) <= 2 < torch.linalg.matrix_rank(change[1], rtol=1e-4)
    )


def test_adapters_are_trained_on_a_base_in_four_bits_and_merged_into_the_whole_one(
    make_job: MakeJob, in_another_process: Train, base: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'ratchet[qlora]'")
    hyper = {"save_every": 2, "lora": Lora(rank=4, quantize="nf4")}
    whole, job = train(make_job("whole", **hyper)), make_job("job", **hyper)
    assert in_another_process(job, "train: step done#5") == -9
    assert train(job).weights_hash == whole.weights_hash
    losses = told(whole)["loss"].to_list()
    exact = told(train(make_job("exact", lora=Lora(rank=4))))["loss"].to_list()
    assert losses == pytest.approx(exact, rel=0.05)
    assert losses[0] != exact[0], "the base was not held in four bits"
    before, after = load_model(base).state_dict(), load_model(whole.checkpoint).state_dict()
    for name in (name for name in before if "proj" in name):
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) <= 4, name


@pytest.mark.parametrize("lora", [None, Lora(rank=64)], ids=["whole", "adapters"])
def test_moments_in_eight_bits_are_resumed_to_the_same_bit(
    lora: Lora | None, make_job: MakeJob, in_another_process: Train, new_model: Any, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'ratchet[qlora]'")
    wide = new_model(tmp_path / "wide", hidden_size=64, intermediate_size=128)
    hyper = {"save_every": 2, "learning_rate": 1e-3, "folder": wide, "lora": lora}
    whole, job = (make_job(name, optimizer="adamw-8bit", **hyper) for name in ("whole", "job"))
    undisturbed = train(whole)
    assert in_another_process(job, "train: step done#5") == -9
    saved = torch.load(Path(job.output, "saves", "step-4", "optimizer.bin"), weights_only=False)["state"]
    states = [one | one.get("__bnb_optimizer_quant_state__", {}) for one in saved.values()]
    moments = [one["state1"] for one in states]
    assert torch.uint8 in {moment.dtype for moment in moments}
    assert all((moment.dtype == torch.uint8) == (moment.numel() >= 4096) for moment in moments)
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))
    exact = train(make_job("exact", **hyper))
    assert exact.weights_hash != undisturbed.weights_hash
    assert told(undisturbed)["loss"].to_list() == pytest.approx(told(exact)["loss"].to_list(), rel=0.02)


@pytest.mark.parametrize(
    "hyper", [{"lora": Lora(quantize="nf4")}, {"optimizer": "adamw-8bit"}], ids=["four", "eight"]
)
def test_few_bits_without_their_package_are_refused_in_one_line_before_a_loop_opens(
    hyper: dict[str, Any], make_job: MakeJob, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "bitsandbytes" else find(n))
    job = make_job(**hyper)
    for refuse in (lambda: train(job), lambda: check_fits(base, job.hyperparameters)):
        with pytest.raises(BadInput, match=r"needs the package bitsandbytes: pip install 'ratchet\[qlora\]'"):
            refuse()
    assert_no_checkpoint(job)


def test_a_finished_job_is_not_done_again(make_job: MakeJob) -> None:
    job = make_job()
    first = train(job)
    assert train(job, lambda *_: pytest.fail("trained again")) == first
    other = job.model_copy(update={"seed": 5})
    with pytest.raises(TrainingFailed, match="another job"):
        train(other)


def test_a_folder_is_trained_in_by_one_process_at_a_time(make_job: MakeJob) -> None:
    job = make_job()
    with (
        claimed(Path(job.output)),
        pytest.raises(TrainingFailed, match=rf"process {os.getpid()} is training"),
    ):
        train(job)
    train(job)


def test_a_training_leaves_the_process_as_it_was(make_job: MakeJob) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(make_job())
    assert torch.equal(torch.rand(3), expected)
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


def assert_no_checkpoint(job: TrainingJob) -> None:
    assert not Path(job.output, "result.json").exists()
    assert not Path(job.output, "checkpoint").exists()


def test_a_loss_that_is_not_finite_fails_with_one_line(
    make_job: MakeJob, new_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = new_model(tmp_path / "broken")
    model = load_model(folder)
    model.model.norm.weight.data[0] = float("nan")
    model.save_pretrained(folder)
    job = make_job(folder=folder)
    with pytest.raises(TrainingFailed, match=r"diverged at step 0 of 6 \(loss nan.*learning_rate") as failed:
        train(job)
    assert "\n" not in str(failed.value)
    assert_no_checkpoint(job)


def test_an_example_that_is_too_long_is_refused_by_name(make_job: MakeJob, examples: pl.DataFrame) -> None:
    job = make_job(max_tokens=80)
    with pytest.raises(TrainingFailed, match=r"of 22 .* longer than 80 tokens \(max_tokens\).*ex-\d\d"):
        train(job)
    long = pl.when(pl.col("example_id") == "ex-09").then(pl.lit("x" * 300)).otherwise("prompt")
    rows = examples.with_columns(prompt=long)
    with pytest.raises(TrainingFailed, match=r"1 of 22 .* 256 tokens \(the model's context\).*ex-09"):
        train(make_job("b", rows=rows))
    assert_no_checkpoint(job)


def test_only_the_snapshot_of_that_id_and_a_real_base_are_used(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    with pytest.raises(SnapshotMismatch):
        train(job.model_copy(update={"snapshot_id": "snap-00000-" + "0" * 24}))
    with pytest.raises(ModelError):
        train(job.model_copy(update={"base": str(tmp_path / "nowhere")}))
    assert_no_checkpoint(job)


@pytest.fixture
def counting() -> Iterator[None]:
    """An objective with a metric of its own, for as long as the test runs."""

    def loss(model: object, batch: Batch) -> Loss:
        labels = (batch["labels"] != IGNORED).sum(dim=1)
        means = {
            "labels": Mean(labels.sum(), torch.tensor(len(labels))),
            "none": Mean(labels[0], labels[0] * 0),
        }
        return Loss(SFT.loss(model, batch).total, means)

    registry.OBJECTIVES["counting"] = lambda _: replace(SFT, name="counting", loss=loss)
    yield
    del registry.OBJECTIVES["counting"]


@pytest.mark.usefixtures("counting")
def test_metrics_of_an_objective_reach_the_ledger_as_means_and_a_mean_of_nothing_as_null(
    make_job: MakeJob, base: Path, examples: pl.DataFrame
) -> None:
    encoded = SFT.encode(load_tokenizer(base), examples)
    units = dict(zip(examples["example_id"], [example.units for example in encoded], strict=True))
    ledger = pl.read_parquet(train(make_job(micro_batch_size=3, objective="counting")).ledger)
    expected = [sum(map(units.__getitem__, ids)) / len(ids) for ids in ledger["example_ids"]]
    assert ledger["labels"].to_list() == pytest.approx(expected)
    assert ledger["none"].dtype == pl.Float64
    assert ledger["none"].is_null().all()


def test_the_cosine_schedule_ends_like_transformers_own() -> None:
    hyper = Hyperparameters(learning_rate=1.0, warmup_ratio=0.1)
    peer = get_cosine_schedule_with_warmup(torch.optim.SGD([torch.zeros(1)], lr=1.0), 10, 100)
    theirs = [peer.lr_lambdas[0](step) for step in range(100)]
    ours = [learning_rate(step, 100, hyper) for step in range(100)]
    assert ours[10:] == pytest.approx(theirs[10:])
    assert ours[:10] == pytest.approx(theirs[1:11])  # the first step already moves


def test_running_out_of_memory_says_so(
    make_job: MakeJob, new_model: Callable[..., Path], examples: pl.DataFrame, tmp_path: Path, forks: Forks
) -> None:
    rows = pl.concat([examples] * 20).with_columns(example_id=pl.int_range(pl.len()).cast(pl.String))
    folder = new_model(tmp_path / "wordy", vocab_size=60_000)
    job = make_job(folder=folder, rows=rows, batch_size=440)  # its logits alone take 11 GB
    path = Path(job.output).with_suffix(".json")
    path.write_text(job.model_dump_json())
    result = forks.run("tests.train.short_of_memory:main", [str(path)], os.environ)
    assert result.returncode == 1
    assert "TrainingFailed" in result.stderr.splitlines()[-1]
    assert "ran out of memory with all its examples" in result.stderr
    assert_no_checkpoint(job)
