"""Promises of every objective: a sum over its units, whatever the batch, learned from responses alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from accelerate import Accelerator

from schemas.errors import TrainingFailed
from schemas.job import Hyperparameters, TrainingJob
from schemas.tables import STEPS
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.models.heads import load_scalar
from tasks.models.rendering import prompt_ids
from tasks.train.base_logprobs import with_base_logprobs
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.objective import IGNORED, Encoded, Objective
from tasks.train.objectives.registry import OBJECTIVES
from tasks.train.records import ledger_rows
from tests.train.gradients import assert_same, gradients

ROWS = {
    "sft": "examples",
    "dpo": "pairs",
    "reward": "soft_pairs",
    "value": "rollouts",
    "policy": "rollouts",
    "distil": "softened",
}
"""The fixture of tests/train/conftest.py with examples of each objective: prompts and what is learned."""
MakeJob = Callable[..., TrainingJob]
CPU = torch.device("cpu")


@pytest.fixture(params=OBJECTIVES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objective(name: str) -> Objective:
    return OBJECTIVES[name](Hyperparameters())


@pytest.fixture
def rows(name: str, request: pytest.FixtureRequest) -> pl.DataFrame:
    """22 examples of different lengths."""
    if name not in ROWS:
        pytest.fail(f"objective {name} has no examples: add a fixture's name to ROWS of {__name__}")
    value = request.getfixturevalue(ROWS[name])
    assert isinstance(value, pl.DataFrame)
    return value


@pytest.fixture
def encoded(objective: Objective, rows: pl.DataFrame, base: Path) -> list[Encoded]:
    plain = objective.encode(load_tokenizer(base), rows)
    return with_base_logprobs(objective, Accelerator(cpu=True), loaded(objective, base), plain, 5)


def loaded(objective: Objective, base: Path) -> Any:
    """The base with the head that the objective needs."""
    return load_model(base) if objective.head == "lm" else load_scalar(base, objective.head, seed=0)


def learned(
    objective: Objective, base: Path, batches: Sequence[Sequence[Encoded]]
) -> tuple[float, dict[str, tuple[float, float]], dict[str, torch.Tensor]]:
    """The loss, the metrics and the gradient of some batches, summed, by a model some way from its base."""
    model = loaded(objective, base).train()
    torch.manual_seed(3)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    total, metrics = 0.0, dict[str, tuple[float, float]]()
    for batch in batches:
        loss = objective.loss(model, collate(batch, objective.padding, CPU))
        sum(loss.parts.values()).backward()
        total += sum(part.item() for part in loss.parts.values())
        for name, mean in loss.metrics.items():
            before = metrics.get(name, (0.0, 0.0))
            metrics[name] = (before[0] + mean.total.item(), before[1] + mean.over.item())
    return total, metrics, gradients(model)


def test_an_example_is_as_long_as_its_tensors_and_counts(
    objective: Objective, rows: pl.DataFrame, encoded: list[Encoded]
) -> None:
    assert len(encoded) == rows.height
    for one in encoded:
        lengths = [len(one.tensors[column]) for column in objective.padding]
        assert one.length == max(lengths)
        assert one.length <= one.tokens <= sum(lengths)
        assert one.units >= 1
        assert all(tensor.dim() == 1 for tensor in one.tensors.values())


def test_no_token_of_the_prompt_is_learned(
    objective: Objective, rows: pl.DataFrame, encoded: list[Encoded], base: Path
) -> None:
    tokenizer = load_tokenizer(base)
    for prompt, one in zip(rows["prompt"], encoded, strict=True):
        before = len(prompt_ids(tokenizer, prompt))
        labels = [one.tensors[c] for c, fill in objective.padding.items() if fill == IGNORED]
        assert any(len(of_one) for of_one in labels)
        for of_one in labels:
            assert (of_one[:before] == IGNORED).all()
            assert (of_one[before:] != IGNORED).all()


def test_a_loss_is_a_sum_that_no_cut_and_no_order_of_a_batch_changes(
    objective: Objective, encoded: list[Encoded], base: Path
) -> None:
    total, metrics, gradient = learned(objective, base, [encoded])
    assert math.isfinite(total)
    assert total > 0
    assert all(one.isfinite().all() for one in gradient.values())
    assert any(one.abs().max() > 0 for one in gradient.values())
    for batches in (
        [encoded[:1], encoded[1:9], encoded[9:]],
        [[one] for one in encoded],
        [encoded[::-1]],
        [encoded[1::2], encoded[::2]],
    ):
        other, others, theirs = learned(objective, base, batches)
        assert other == pytest.approx(total, rel=1e-4)
        assert others.keys() == metrics.keys()
        for name, (value, over) in metrics.items():
            assert others[name][1] == over
            assert others[name][0] == pytest.approx(value, rel=1e-3, abs=1e-3)
        assert_same(theirs, gradient, atol=2e-4)


@pytest.mark.parametrize("hyper", [{"micro_batch_size": 3}, {"gradient_checkpointing": True}], ids=str)
def test_how_a_step_is_computed_changes_no_loss(
    make_job: MakeJob, name: str, rows: pl.DataFrame, hyper: dict[str, Any]
) -> None:
    ledgers = []
    for folder, more in {"plain": {}, "other": hyper}.items():
        job = make_job(folder, objective=name, rows=rows, learning_rate=1e-3, epochs=1, **more)
        ledgers.append(pl.read_parquet(train(job).ledger).drop("seconds", "peak_memory_bytes"))
    assert ledgers[0]["example_ids"].equals(ledgers[1]["example_ids"])
    for column in set(ledgers[0].columns) - {"example_ids"}:
        left, right = (ledger[column].to_list() for ledger in ledgers)
        assert left == pytest.approx(right, rel=1e-3, abs=1e-4), column


def test_all_that_is_measured_is_on_record(
    make_job: MakeJob, name: str, objective: Objective, rows: pl.DataFrame, encoded: list[Encoded], base: Path
) -> None:
    _, metrics, _ = learned(objective, base, [encoded])
    job = make_job(objective=name, rows=rows, epochs=1)
    for row in ledger_rows(job, train(job), 0).to_dicts():
        assert math.isfinite(row["loss"])
        measures = json.loads(row["metrics"] or "{}") | row
        assert set(metrics) <= set(measures)
        assert all(measures[one] is None or math.isfinite(measures[one]) for one in metrics)
        assert set(row) <= set(STEPS.own_polars)


CHANGES: dict[str, tuple[Callable[[pl.DataFrame, str], pl.DataFrame], str]] = {
    "empty": (lambda rows, column: rows.head(0), "is empty: there is nothing to train on"),
    "without": (lambda rows, column: rows.drop(column), "has no column {}"),
    "null": (lambda rows, column: rows.with_columns(pl.lit(None, pl.String).alias(column)), "nulls in {}"),
    "long": (
        lambda rows, column: lengthened(rows, column),
        "longer than 256 tokens .the model's context",
    ),
    "twice": (lambda rows, column: rows.with_columns(example_id=pl.lit("one")), "holds an example_id twice"),
}


def lengthened(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Rows that are 300 tokens longer in a column of texts, or a few in all lists, which belong together."""
    if isinstance(rows.schema[column], pl.List):
        lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
        more = {name: 300 * pl.col(name).list.len() // pl.col("token_ids").list.len() for name in lists}
        return rows.head(3).with_columns(
            pl.col(name).list.concat(pl.col(name).list.first().repeat_by(more[name])) for name in lists
        )
    return rows.with_columns(pl.lit("x" * 300).alias(column))


ONE_COLUMN = {"empty", "twice"}
"""Changes of the rows, whatever the column."""


@pytest.mark.parametrize("change", CHANGES)
def test_examples_that_cannot_be_trained_on_are_refused_in_one_line(
    make_job: MakeJob, name: str, objective: Objective, rows: pl.DataFrame, change: str
) -> None:
    changed, line = CHANGES[change]
    needed = [one for one in objective.columns if change != "null" or one not in objective.nullable]
    needed = [one for one in needed if change != "long" or rows.schema[one] in (pl.String, pl.List)]
    for column in needed[:1] if change in ONE_COLUMN else needed:
        job = make_job(column, objective=name, rows=changed(rows, column))
        with pytest.raises(TrainingFailed, match=line.format(column)) as refused:
            train(job)
        assert "\n" not in str(refused.value)


def test_examples_of_which_nothing_is_learned_are_refused_in_one_line(
    make_job: MakeJob, name: str, objective: Objective, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def masked(*given: Any) -> list[Encoded]:
        return [replace(one, units=0) for one in objective.encode(*given)]

    monkeypatch.setitem(OBJECTIVES, name, lambda hyper: replace(objective, encode=masked))
    with pytest.raises(TrainingFailed, match="there is nothing to learn") as refused:
        train(make_job(objective=name, rows=rows))
    assert "\n" not in str(refused.value)
