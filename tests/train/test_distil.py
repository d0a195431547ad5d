"""Distillation: by hand, as TRL's two trainers have it, and the same from the log as from a teacher asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from schemas.errors import BadInput, RatchetError, TrainingFailed
from schemas.job import Distil, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.distil import Targets, _apart, distil, divergence
from tasks.train.objectives.objective import Encoded, Loss
from tasks.train.objectives.sft import SFT
from tasks.train.soft_targets import soft_targets, teacher_of
from tests.train.conftest import told, with_soft_targets, write_model
from tests.train.gradients import assert_same, gradients

MakeJob = Callable[..., TrainingJob]
CPU = torch.device("cpu")
KINDS: dict[str, float] = {"forward": 0.0, "reverse": 1.0, "jensen-shannon": 0.3}
"""Divergences, with what TRL calls beta."""


def settings(kind: str, **more: Any) -> Distil:
    beta = KINDS[kind] if kind == "jensen-shannon" else 0.5
    return Distil(**{"divergence": kind, "beta": beta, "support": "whole"} | more)


def ours(
    base: Path, rows: pl.DataFrame, own: Distil, teacher: Path | None
) -> tuple[float, dict[str, torch.Tensor], Loss]:
    """The mean loss of one step over all rows, with its gradient."""
    model, objective = load_model(base).train(), distil(own)
    if teacher is not None:
        assert objective.with_teacher is not None
        objective = objective.with_teacher(teacher_of(teacher), 0)
    examples = objective.encode(load_tokenizer(base), rows)
    loss = objective.loss(model, collate(examples, objective.padding, CPU))
    counts = {part: sum(one.counts[part] for one in examples) for part in loss.parts}
    whole = sum(total / counts[part] for part, total in loss.parts.items())
    whole.backward()
    return whole.item(), gradients(model), loss


def test_divergences_by_hand() -> None:
    teacher, student = (torch.tensor([one]).log() for one in ([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]))
    forward = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert divergence(teacher, student, Distil()).tolist() == pytest.approx([forward])
    assert divergence(student, teacher, Distil(divergence="reverse")).tolist() == pytest.approx([forward])
    mixed = Distil(divergence="jensen-shannon", beta=0.5)
    half = 0.5 * math.log(0.5 / 0.375) + 0.25 * math.log(0.25 / 0.375)
    assert divergence(teacher, student, mixed).tolist() == pytest.approx([half])
    for kind in KINDS:
        assert divergence(teacher, teacher, settings(kind)).tolist() == pytest.approx([0.0], abs=1e-7)


def test_the_tail_is_the_mass_of_all_other_tokens() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0, 0.0, 1.0]])
    said = soft_targets(logits, torch.tensor([3]), Distil(k=2, temperature=2.0), 0)
    whole = (logits / 2).softmax(dim=1)[0]
    assert said.ids.tolist() == [[0, 4]]
    assert said.logprobs.exp()[0].tolist() == pytest.approx([whole[0].item(), whole[4].item()])
    assert said.tail is not None
    assert said.tail.exp().item() == pytest.approx(whole[[1, 2, 3]].sum().item())
    assert said.own.item() == pytest.approx(logits.log_softmax(dim=1)[0, 3].item())
    half = soft_targets(logits, torch.tensor([3]), Distil(k=2, temperature=2.0, precision="float16"), 0)
    assert half.logprobs.equal(said.logprobs.half().float())
    assert half.tail is not None
    assert half.tail.equal(said.tail.half().float())
    assert not half.logprobs.equal(said.logprobs)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_equal_trls_gkd(
    kind: str, temperature: float, base: Path, teacher: Path, softened: pl.DataFrame
) -> None:
    from trl.experimental.gkd import GKDTrainer

    own = settings(kind, temperature=temperature)
    value, gradient, _ = ours(base, softened, own, teacher)
    examples = distil(Distil()).encode(load_tokenizer(base), softened)
    batch = collate(examples, distil(own).padding, CPU)
    model = load_model(base).train()
    with torch.no_grad():
        theirs = load_model(teacher)(input_ids=batch["input_ids"]).logits[:, :-1]
    loss = GKDTrainer.generalized_jsd_loss(
        model(input_ids=batch["input_ids"]).logits[:, :-1],
        theirs,
        labels=batch["labels"][:, 1:],
        beta=KINDS[kind],
        temperature=temperature,
    )
    (temperature**2 * loss).backward()
    assert value == pytest.approx(temperature**2 * loss.item(), rel=1e-5)
    assert_same(gradient, gradients(model))


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_equal_trls_distillation_trainer(
    kind: str, base: Path, teacher: Path, softened: pl.DataFrame, tmp_path: Path
) -> None:
    import trl
    from datasets import Dataset

    own = settings(kind, temperature=2.0)
    value, gradient, loss = ours(base, softened, own, teacher)
    model = load_model(base).train()
    args = {"use_cpu": True, "bf16": False, "report_to": "none", "gradient_checkpointing": False}
    trainer = trl.DistillationTrainer(
        model=model,
        teacher_model=load_model(teacher),
        args=trl.DistillationConfig(
            output_dir=str(tmp_path), beta=KINDS[kind], temperature=2.0, max_completion_length=64, **args
        ),
        train_dataset=Dataset.from_list([{"prompt": "one"}] * 4),
        processing_class=load_tokenizer(base),
    )
    examples = distil(Distil()).encode(load_tokenizer(base), softened)
    theirs, entropy, count = trainer._compute_loss(model, trl_batch(examples), None)
    (4 * theirs).backward()
    assert value == pytest.approx(4 * theirs.item(), rel=1e-5)
    assert_same(gradient, gradients(model))
    assert loss.metrics["entropy"].total.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert loss.metrics["entropy"].over.item() == count.item()


def trl_batch(examples: list[Encoded]) -> dict[str, torch.Tensor]:
    """Our examples as TRL's trainer has them: prompts padded on the left, answers on the right."""
    starts = [int((one.tensors["labels"] != -100).nonzero()[0]) for one in examples]
    left = max(starts)
    pairs = list(zip((one.tensors["input_ids"].long() for one in examples), starts, strict=True))

    def padded(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    return {
        "prompt_ids": torch.stack(
            [torch.cat([ids.new_zeros(left - start), ids[:start]]) for ids, start in pairs]
        ),
        "prompt_mask": torch.stack([(torch.arange(left) >= left - start).long() for start in starts]),
        "completion_ids": padded([ids[start:] for ids, start in pairs]),
        "completion_mask": padded([torch.ones_like(ids[start:]) for ids, start in pairs]),
    }


@pytest.mark.parametrize("support", ["whole", "top-k", "sampled"])
def test_another_teacher_changes_the_gradient(
    support: str, base: Path, teacher: Path, softened: pl.DataFrame, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", hidden_size=40, initializer_range=0.3)
    own = Distil(support=support, k=8)
    first, again, changed = (ours(base, softened, own, one) for one in (teacher, teacher, other))
    apart = {
        name: max((first[1][name] - one[1][name]).abs().max().item() for name in first[1])
        for name, one in {"again": again, "changed": changed}.items()
    }
    assert apart["again"] == 0.0
    assert apart["changed"] > 1e-3
    assert changed[0] != pytest.approx(first[0], rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_top_k_with_its_tail_is_below_the_whole_divergence_and_comes_to_it(
    kind: str, base: Path, teacher: Path, softened: pl.DataFrame
) -> None:
    whole, gradient, _ = ours(base, softened, settings(kind), teacher)
    few = {k: ours(base, softened, settings(kind, support="top-k", k=k), teacher) for k in (1, 16, 128, 259)}
    values = [few[k][0] for k in (1, 16, 128)]
    assert values == sorted(values)
    assert 0 < values[0] < whole
    assert values[-1] < whole
    # All but one token: the tail is that one.
    assert few[259][0] == pytest.approx(whole, rel=1e-4)
    assert_same(few[259][1], gradient, atol=1e-5)
    if kind == "forward":  # what the tail leaves out of the gradient shrinks with its mass
        apart = [max((few[k][1][n] - gradient[n]).abs().max().item() for n in gradient) for k in (1, 16, 128)]
        assert apart == sorted(apart, reverse=True)


def test_sampled_tokens_estimate_the_forward_divergence_and_its_gradient_without_bias() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(1, 12), torch.randn(1, 12, requires_grad=True)
    own = Distil(support="sampled", k=8, temperature=1.5)
    logprobs = (student / 1.5).log_softmax(dim=1)
    exact = divergence((teacher / 1.5).log_softmax(dim=1), logprobs, own).sum()
    (right,) = torch.autograd.grad(exact, student, retain_graph=True)
    values, slopes = [], []
    for seed in range(4_000):
        said = soft_targets(teacher, torch.tensor([0]), own, seed)
        value = _apart(Targets(said.logprobs, said.ids, said.tail), logprobs, own).sum()
        (slope,) = torch.autograd.grad(value, student, retain_graph=True)
        values.append(value.item())
        slopes.append(slope)
    drawn, slope = torch.tensor(values), torch.stack(slopes)
    error = drawn.std() / math.sqrt(len(drawn))
    assert abs(drawn.mean() - exact.item()) < 4 * error
    errors = slope.std(dim=0) / math.sqrt(len(slope))
    assert ((slope.mean(dim=0) - right).abs() < 4.5 * errors).all()
    # The two likeliest alone, their probabilities made to sum to one, are not it.
    top = (teacher / 1.5).softmax(dim=1).topk(2)
    cut = -(top.values / top.values.sum() * logprobs.gather(1, top.indices)).sum()
    (biased,) = torch.autograd.grad(cut, student)
    assert ((biased - right).abs() > 20 * errors).any()


def test_t_squared_keeps_the_size_of_the_gradient(base: Path, teacher: Path, softened: pl.DataFrame) -> None:
    """For a large T the loss is half the mean squared difference of the centred logits (Hinton et al.)."""
    value, _, _ = ours(base, softened, Distil(support="whole", temperature=100.0), teacher)
    batch = collate(distil(Distil()).encode(load_tokenizer(base), softened), distil(Distil()).padding, CPU)
    with torch.no_grad():
        apart = (
            load_model(base)(input_ids=batch["input_ids"]).logits
            - load_model(teacher)(input_ids=batch["input_ids"]).logits
        )[:, :-1][batch["labels"][:, 1:] != -100]
    expected = 0.5 * (apart - apart.mean(dim=1, keepdim=True)).square().mean().item()
    assert value == pytest.approx(expected, rel=0.05)
    assert expected > 0.1


def test_cross_entropy_is_a_stream_at_temperature_one(
    base: Path, teacher: Path, rollouts: pl.DataFrame, softened: pl.DataFrame
) -> None:
    own = Distil(temperature=2.0, cross_entropy_weight=0.5)
    rows = with_soft_targets(rollouts, base, teacher, own)
    both, _, loss = ours(base, rows, own, None)
    alone, _, _ = ours(base, rows, Distil(temperature=2.0), None)
    examples = SFT.encode(load_tokenizer(base), rollouts)
    batch = collate(examples, SFT.padding, CPU)
    plain = SFT.loss(load_model(base), batch).total.item() / sum(one.units for one in examples)
    assert both - alone == pytest.approx(0.5 * plain, rel=1e-4)
    assert set(loss.streams) == {"cross_entropy_loss"}


@pytest.mark.parametrize(
    "own",
    [
        Distil(temperature=2.0, cross_entropy_weight=0.5),
        Distil(divergence="reverse", k=4, precision="float16"),
        Distil(support="sampled", k=12),
    ],
    ids=lambda own: f"{own.support} {own.divergence}",
)
def test_from_the_log_and_from_a_teacher_asked_the_weights_are_the_same_to_the_bit(
    make_job: MakeJob, base: Path, teacher: Path, rollouts: pl.DataFrame, own: Distil
) -> None:
    hyper = {"objective": "distil", "distil": own, "epochs": 2, "micro_batch_size": 3}
    recorded = train(make_job("log", rows=with_soft_targets(rollouts, base, teacher, own), **hyper))
    job = asking(make_job("job", rows=rollouts.select("example_id", "prompt", "token_ids"), **hyper), teacher)
    asked = train(job)
    assert asked.weights_hash == recorded.weights_hash
    assert told(asked).equals(told(recorded))


def test_a_teacher_is_asked_on_the_students_device(teacher: Path) -> None:
    for device in ("meta", "cpu", "meta"):
        own = teacher_of(teacher, torch.device(device))
        assert {one.device.type for one in own.parameters()} == {device}


def asking(job: TrainingJob, teacher: Path) -> TrainingJob:
    return job.model_copy(update={"teacher": str(teacher), "teacher_id": "ckpt-00000-teacher"})


def test_a_killed_training_that_asks_a_teacher_resumes_to_the_same_bit(
    make_job: MakeJob, in_another_process: Callable[..., int], softened: pl.DataFrame, teacher: Path
) -> None:
    hyper: dict[str, Any] = {"objective": "distil", "rows": softened, "save_every": 2}
    hyper["distil"] = Distil(support="whole", divergence="reverse")
    undisturbed = train(asking(make_job("whole", **hyper), teacher))
    job = asking(make_job("killed", **hyper), teacher)
    assert in_another_process(job, "train: step done#4") == -9
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"teacher_ids": [0] * 9}, "example ex-00 has 9 teacher_ids for"),
        ({"tail_logprobs": [-1.0]}, "example ex-00 has 1 tail_logprobs for"),
        ({"teacher_logprobs": [math.nan]}, "teacher_logprobs that are no finite numbers"),
    ],
)
def test_soft_targets_of_other_tokens_are_refused(
    make_job: MakeJob, softened: pl.DataFrame, changes: dict[str, list[float]], line: str
) -> None:
    (column, value), row = next(iter(changes.items())), softened.head(1)
    values = value * len(row[column][0]) if math.isnan(value[0]) else value
    rows = row.with_columns(pl.Series(column, [values], dtype=row.schema[column]))
    with pytest.raises(TrainingFailed, match=line) as refused:
        train(make_job(objective="distil", rows=rows))
    assert "\n" not in str(refused.value)


def test_a_teacher_that_cannot_be_asked_is_refused(
    make_job: MakeJob, softened: pl.DataFrame, examples: pl.DataFrame, teacher: Path, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", vocab_size=300)
    cases: list[tuple[TrainingJob, type[RatchetError], str]] = [
        (
            make_job("a", objective="distil", rows=softened, distil=Distil(support="whole")),
            TrainingFailed,
            "needs a teacher",
        ),
        (asking(make_job("b", rows=examples), teacher), TrainingFailed, "objective sft asks no teacher"),
        (
            asking(make_job("c", objective="distil", rows=softened), other),
            BadInput,
            "has vocab_size 300, the student 260",
        ),
        (
            asking(make_job("d", objective="distil", rows=softened, distil=Distil(k=260)), teacher),
            BadInput,
            "k is 260, of a vocabulary of 260: take support whole",
        ),
    ]
    for job, kind, line in cases:
        with pytest.raises(kind, match=line) as refused:
            train(job)
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="sampled estimates the forward divergence alone"):
        Distil(support="sampled", divergence="reverse")
    with pytest.raises(ValueError, match="whole is never on record"):
        Distil(support="whole", precision="float16")
