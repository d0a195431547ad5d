"""Promises of a training's facts: whatever an objective measures is on record, column or not."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from schemas.job import TrainingJob
from schemas.tables import STEPS
from tasks.train.records import ledger_rows
from tasks.train.result import LEDGER, TrainingResult

JOB = TrainingJob(
    training_id="train-00000-" + "0" * 24,
    snapshot_id="snap-00000-" + "0" * 24,
    snapshot="snapshots/x",
    base_checkpoint="ckpt-00000-" + "0" * 24,
    base="base",
    output="out",
)


def result(folder: Path, ledger: pl.DataFrame) -> TrainingResult:
    """A finished training whose ledger this is."""
    ledger.write_parquet(folder / LEDGER)
    return TrainingResult.model_construct(training_id=JOB.training_id, output=str(folder))


STEP = {
    "step": [0, 1],
    "epoch": [0, 0],
    "example_ids": [["a"], ["b"]],
    "loss": [1.0, 0.5],
    "learning_rate": [1e-3, 1e-3],
    "grad_norm": [1.0, 1.0],
    "tokens": [3, 4],
    "seconds": [0.1, 0.1],
    "peak_memory_bytes": [1, 1],
}


def test_a_measure_without_a_column_is_kept_under_its_name(tmp_path: Path) -> None:
    ledger = pl.DataFrame(STEP | {"reward_margin": [0.1, 0.2], "kl": [0.25, None], "clip_share": [0.5, 0.0]})
    rows = ledger_rows(JOB, result(tmp_path, ledger), 0)
    assert rows["reward_margin"].to_list() == [0.1, 0.2]
    assert [json.loads(one) for one in rows["metrics"]] == [
        {"kl": 0.25, "clip_share": 0.5},
        {"kl": None, "clip_share": 0.0},
    ]
    assert set(rows.columns) <= set(STEPS.own_polars)


@pytest.mark.parametrize("more", [{}, {"demonstration_loss": [0.1, 0.2]}])
def test_measures_that_have_columns_need_no_other_place(tmp_path: Path, more: dict[str, list[float]]) -> None:
    rows = ledger_rows(JOB, result(tmp_path, pl.DataFrame(STEP | more)), 0)
    assert rows["metrics"].to_list() == [None, None]
