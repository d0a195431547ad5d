"""The training loop: one job, any objective, on Accelerate, recording every optimizer step.

Covered: on a CPU the same snapshot, base, seed, machine and libraries give the same weights to the
bit, whether the job ran in process or was launched, undisturbed or killed and resumed. For that the
thread count is set and recorded, parameters lie in memory of PyTorch's own alignment, and each step
seeds its own randomness. Not covered: other processors or thread counts, and GPUs, where kernels
without a deterministic form are allowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import Accelerator
from torch import Tensor

from schemas.errors import TrainingFailed
from schemas.job import TrainingJob
from tasks.models.checkpoint import load_tokenizer
from tasks.train.base_logprobs import with_base_logprobs
from tasks.train.batches import Step, collate, micro_batches, plan
from tasks.train.carried import check_carrying, leave, take_up
from tasks.train.devices import accelerator_of
from tasks.train.dropout import without_dropout
from tasks.train.examples import check, refuse_long, refuse_unlearnable
from tasks.train.machine import (
    claimed,
    cpu_threads,
    device_name,
    is_out_of_memory,
    peak_memory,
    repeatable,
    step_seed,
    versions,
)
from tasks.train.objectives.objective import LOSS, Batch, Encoded, Objective
from tasks.train.objectives.registry import get_objective
from tasks.train.optimizer import adamw, learning_rate
from tasks.train.packing import check_packing, pack
from tasks.train.parts import measured, scaled, units_of
from tasks.train.result import (
    LEDGER,
    RESULT,
    OptimizerStep,
    Progress,
    TrainingResult,
    job_digest,
    read_result,
)
from tasks.train.saves import drop_saves, last_save, load_save, save_trained_alone, write_save
from tasks.train.soft_targets import taught
from tasks.train.weights import context_of, trainable, write_checkpoint
from warehouse.snapshot import read_snapshot
from warehouse.store.durable import replace
from warehouse.store.fault import reached

RECENT = 20  # steps that the pace shown is taken over


@dataclass
class Run:
    """A training under way: what it works on, and what it has done."""

    job: TrainingJob
    objective: Objective
    accelerator: Accelerator
    model: Any
    optimizer: Any
    encoded: list[Encoded]
    lengths: list[int]
    example_ids: list[str]
    steps: list[Step]
    rows: list[dict[str, Any]]
    seconds: float

    def ledger(self) -> pl.DataFrame:
        """One row per optimizer step done: step and epoch (0-based), example_ids, loss and so on."""
        kinds = {"example_ids": pl.List(pl.String)}
        ledger = pl.DataFrame(self.rows, schema_overrides=kinds, infer_schema_length=None)
        return ledger.cast({pl.Null: pl.Float64})


def train(job: TrainingJob, progress: Progress | None = None) -> TrainingResult:
    """Train as the job says, from its snapshot; a job that is finished is not done again.

    Errors: SnapshotMismatch, ModelError, BadInput (no such objective), TrainingFailed (an example that
    is too long, loss or gradient not finite, out of memory, the folder is another job's).
    """
    if result := read_result(job):
        drop_saves(Path(job.output))  # a kill may have come between the result and this
        return result
    return fit(job, read_snapshot(Path(job.snapshot), job.snapshot_id), progress)


def fit(job: TrainingJob, examples: pl.DataFrame, progress: Progress | None = None) -> TrainingResult:
    """Train on examples already read: one a row, with `example_id` and the objective's columns."""
    with claimed(Path(job.output)), repeatable(job.seed):
        if result := read_result(job):
            return result
        accelerator = accelerator_of(job.hyperparameters)
        try:
            run = _start(job, accelerator, examples)
            _run(run, progress)
            return _finish(run)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = job.hyperparameters.micro_batch_size or "all its"
            raise TrainingFailed(
                f"{job.training_id} ran out of memory with {size} examples in one forward pass: "
                "lower micro_batch_size, or turn on gradient_checkpointing"
            ) from None
        finally:
            accelerator.free_memory()


def _start(job: TrainingJob, accelerator: Accelerator, examples: pl.DataFrame) -> Run:
    hyper = job.hyperparameters
    objective = taught(get_objective(job.objective, hyper), job, accelerator.device)
    save = last_save(Path(job.output), job=job_digest(job), devices=accelerator.num_processes)
    torch.set_num_threads(save.threads if save else cpu_threads())
    check(job, objective, examples)
    ids = examples["example_id"].to_list()
    encoded = objective.encode(load_tokenizer(Path(job.base), job.chat), examples)
    refuse_unlearnable(job, objective, encoded)
    check_carrying(job, accelerator)
    base = trainable(job, accelerator, objective.head)
    if objective.base_logprobs is not None or not objective.dropout:
        without_dropout(base)
    refuse_long(job, ids, encoded, context_of(base))
    steps = plan(ids, seed=job.seed, epochs=hyper.epochs, batch_size=hyper.batch_size)
    model, optimizer = accelerator.prepare(base, adamw(base, hyper, accelerator))
    take_up(job, accelerator.unwrap_model(model), optimizer)
    save_trained_alone(accelerator)
    if hyper.packing == "padding-free":
        check_packing(objective, model, encoded, accelerator)
    size = hyper.micro_batch_size or -(-hyper.batch_size // accelerator.num_processes)
    encoded = with_base_logprobs(objective, accelerator, model, encoded, size)
    if save:
        load_save(save, accelerator)
    rows, seconds = (save.ledger(), save.seconds) if save else ([], 0.0)
    lengths = [example.length for example in encoded]
    return Run(job, objective, accelerator, model, optimizer, encoded, lengths, ids, steps, rows, seconds)


def _run(run: Run, progress: Progress | None) -> None:
    hyper, total = run.job.hyperparameters, len(run.steps)
    for step in run.steps[len(run.rows) :]:
        began = time.perf_counter()
        row = _step(run, step)
        seconds = time.perf_counter() - began
        run.rows.append(row | {"seconds": seconds, "peak_memory_bytes": peak_memory(run.accelerator.device)})
        run.seconds += seconds
        reached("train: step done")
        number = step.number + 1
        if number % hyper.save_every == 0 and number < total:
            job = job_digest(run.job)
            write_save(Path(run.job.output), run.accelerator, run.ledger(), job=job, seconds=run.seconds)
            reached("train: save written")
        if progress and run.accelerator.is_main_process:
            progress(_progress(run))


def _progress(run: Run) -> OptimizerStep:
    last, recent = run.rows[-1], run.rows[-RECENT:]
    pace = sum(row["tokens"] for row in recent) / sum(row["seconds"] for row in recent)
    return OptimizerStep(len(run.rows), len(run.steps), last["loss"], pace, last["peak_memory_bytes"])


def _step(run: Run, step: Step) -> dict[str, Any]:
    """One optimizer step; its row of the ledger."""
    accelerator, hyper = run.accelerator, run.job.hyperparameters
    torch.manual_seed(step_seed(run.job.seed, step.number, accelerator.process_index))
    rate = learning_rate(step.number, len(run.steps), hyper)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    units = units_of([run.encoded[row] for row in step.rows])
    sums = accelerator.reduce(_gradients(run, step, units), "sum")
    norm = accelerator.clip_grad_norm_(run.model.parameters(), hyper.max_grad_norm)
    means = zip(sums, torch.stack([*sums.values()]).tolist(), strict=True)
    values = {name: total / count if count else None for name, (total, count) in means}
    values |= {LOSS: sum(values[part] or 0.0 for part in units), "grad_norm": float(norm)}
    _refuse_infinite(run, step, values)
    run.optimizer.step()
    run.optimizer.zero_grad()
    return {
        "step": step.number,
        "epoch": step.epoch,
        "example_ids": [run.example_ids[row] for row in step.rows],
        "loss": values.pop(LOSS),
        "learning_rate": rate,
        "grad_norm": values.pop("grad_norm"),
        "tokens": sum(run.encoded[row].tokens for row in step.rows),
        **values,
    }


def _gradients(run: Run, step: Step, units: Mapping[str, int]) -> dict[str, Tensor]:
    """Accumulate the gradient of the step's mean loss; returns this device's totals and counts of metrics."""
    accelerator, objective = run.accelerator, run.objective
    shares = micro_batches(
        step.rows,
        run.lengths,
        size=run.job.hyperparameters.micro_batch_size,
        device=accelerator.process_index,
        devices=accelerator.num_processes,
    )
    # Devices' gradients are averaged, and Accelerate divides by an accumulation of its own: undo both.
    whole = accelerator.num_processes * accelerator.gradient_accumulation_steps
    sums: dict[str, Tensor] = {}
    for number, rows in enumerate(shares):
        last = number == len(shares) - 1
        accelerator.gradient_state._set_sync_gradients(last)
        # A device without examples left takes part with one that counts for nothing.
        counts = 1.0 if rows else 0.0
        examples = [run.encoded[row] for row in rows or step.rows[:1]]
        model, batch = _batch(run, examples)
        with nullcontext() if last else accelerator.no_sync(run.model):
            loss = objective.loss(model, batch)
            accelerator.backward(scaled(loss, units, whole * counts))
        for name, mean in measured(loss, examples).items():
            sums[name] = sums.get(name, 0.0) + torch.stack(mean).detach() * counts
    return sums


def _batch(run: Run, examples: list[Encoded]) -> tuple[Any, Batch]:
    device = run.accelerator.device
    if run.job.hyperparameters.packing == "padding-free":
        return pack(run.model, examples, device)
    return run.model, collate(examples, run.objective.padding, device)


def _refuse_infinite(run: Run, step: Step, measured: dict[str, float | None]) -> None:
    if all(value is None or math.isfinite(value) for value in measured.values()):
        return
    values = ", ".join(f"{name} {value}" for name, value in measured.items())
    raise TrainingFailed(
        f"{run.job.training_id} diverged at step {step.number} of {len(run.steps)} ({values}), "
        f"first example {run.example_ids[step.rows[0]]}: lower learning_rate or look at the examples"
    )


def _finish(run: Run) -> TrainingResult:
    """Write ledger, checkpoint and, last of all, the result; then the saves are not needed any more."""
    job, accelerator, output = run.job, run.accelerator, Path(run.job.output)
    weights = write_checkpoint(job, accelerator, run.model, run.objective.head)
    if accelerator.is_main_process:
        reached("train: checkpoint written")
        partial = output / f".{LEDGER}.partial"
        run.ledger().write_parquet(partial)
        replace(output / LEDGER, partial.read_bytes())
        partial.unlink()
        leave(job, accelerator.unwrap_model(run.model), run.optimizer)
        assert weights is not None
        replace(output / RESULT, _result(run, weights).model_dump_json(indent=2).encode())
        reached("train: result written")
        drop_saves(output)
    accelerator.wait_for_everyone()
    result = read_result(job)
    assert result is not None
    return result


def _result(run: Run, weights: str) -> TrainingResult:
    tokens, device = sum(row["tokens"] for row in run.rows), run.accelerator.device
    return TrainingResult(
        training_id=run.job.training_id,
        job_digest=job_digest(run.job),
        output=run.job.output,
        weights_hash=weights,
        objective=run.objective.name,
        seed=run.job.seed,
        examples=len(run.example_ids),
        steps=len(run.rows),
        tokens=tokens,
        final_loss=run.rows[-1]["loss"],
        seconds=run.seconds,
        tokens_per_second=tokens / run.seconds,
        peak_memory_bytes=peak_memory(device),
        device=device_name(device),
        devices=run.accelerator.num_processes,
        threads=torch.get_num_threads(),
        precision="fp32" if run.accelerator.mixed_precision == "no" else run.accelerator.mixed_precision,
        versions=versions(),
    )
