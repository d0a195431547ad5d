"""Training speed at size: tokens a second and share of the device's peak, in bf16, from a model made for it.

    python -m bench.large [--tiny] [--peak TFLOPS] [--micro-batch-size 64]

A Llama of 103 million parameters (hidden 1024, 8 layers, the tutor's tokenizer), from random weights, is
trained on the tutor's stories by `tasks.train`, padded and padding-free, and by a plain PyTorch loop over
the same batches. Peak is what the device reaches on one large matrix product in the same run, and the data
sheet's number where the device is known or `--peak` gives it. Without a GPU it is refused, unless `--tiny`
asks for a model of 0.9 million parameters, which shows that the command works and little else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

import tutor
from schemas.job import Hyperparameters, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.train.batches import collate, micro_batches, plan
from tasks.train.loop import fit
from tasks.train.machine import device_name
from tasks.train.objectives.sft import SFT
from tutor.world import stories

WARM_UP = 3  # steps that are not counted
DATA_SHEET = {  # dense bf16, TFLOP/s
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "RTX 4090": 165.0,
    "L4": 121.0,
    "A10": 125.0,
}


@dataclass(frozen=True)
class Size:
    """What is trained: the model's width, depth and heads, and how much of it at once."""

    hidden: int
    layers: int
    heads: int
    examples: int
    batch_size: int
    product: int
    """Rows and columns of the matrix product that the device is measured by."""


LARGE = Size(1024, 8, 16, examples=8192, batch_size=512, product=8192)
TINY = Size(128, 4, 4, examples=192, batch_size=32, product=1024)


@dataclass(frozen=True)
class Pace:
    """Tokens a second, padding not counted, and the losses of the first and last step."""

    tokens_per_second: float
    first: float
    last: float
    peak_memory: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="0.9 million parameters: for a CPU")
    parser.add_argument("--peak", type=float, help="the device's dense bf16 peak, TFLOP/s")
    parser.add_argument("--micro-batch-size", type=int, help="examples in one forward pass")
    options = parser.parse_args()
    if not (torch.cuda.is_available() or options.tiny):
        print("bench.large: no GPU here, and 103 million parameters take hours on a CPU: give --tiny")
        return 2
    size = TINY if options.tiny else LARGE
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as name:
        report(size, device, options, Path(name))
    return 0


def report(size: Size, device: torch.device, options: argparse.Namespace, folder: Path) -> None:
    base, examples = from_scratch(size, folder / "base"), questions(size.examples)
    hyper = Hyperparameters(
        epochs=1,
        batch_size=size.batch_size,
        micro_batch_size=options.micro_batch_size or min(128, size.batch_size),
        learning_rate=3e-4,
        precision="bf16",
        max_tokens=512,
    )
    encoded = SFT.encode(load_tokenizer(base), examples)
    cost = flops_a_token(load_model(base), statistics.fmean(e.length for e in encoded))
    reached = matrix_product(size.product, device)
    paces = {
        "plain loop": plain(base, examples, hyper, device),
        "padded": ours(folder / "padded", base, examples, hyper),
        "padding-free": ours(
            folder / "packed", base, examples, hyper.model_copy(update={"packing": "padding-free"})
        ),
    }
    sheet = options.peak or next((v for k, v in DATA_SHEET.items() if k in device_name(device)), None)
    table = Table(title=f"{device_name(device)}, {parameters(base):,} parameters, bf16", title_justify="left")
    table.add_column("")
    heads = ("tokens/s", "of plain", "TFLOP/s", "of a product", "of data sheet", "loss", "peak memory")
    for head in heads:
        table.add_column(head, justify="right")
    for name, pace in paces.items():
        rate = pace.tokens_per_second * cost / 1e12
        table.add_row(
            name,
            f"{pace.tokens_per_second:,.0f}",
            f"{pace.tokens_per_second / paces['plain loop'].tokens_per_second:.2f}",
            f"{rate:.3g}",
            f"{rate / reached:.1%}",
            f"{rate / sheet:.1%}" if sheet else "unknown",
            f"{pace.first:.2f} to {pace.last:.2f}",
            f"{pace.peak_memory / 2**30:.1f} GiB",
        )
    Console(width=120).print(table)
    print(f"a bf16 product of {size.product} squared: {reached:.3g} TFLOP/s; {cost:.3g} FLOP a token")


def from_scratch(size: Size, folder: Path) -> Path:
    """A random Llama with the tutor's tokenizer, as a Hugging Face folder."""
    tokenizer: Any = load_tokenizer(tutor.BASE)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64 * -(-len(tokenizer) // 64),  # kernels like round numbers
        hidden_size=size.hidden,
        intermediate_size=11 * size.hidden // 4,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def questions(count: int) -> pl.DataFrame:
    drawn_stories = stories(0, count)
    rows = [(f"ex-{i}", story.question, story.solution) for i, story in enumerate(drawn_stories)]
    return pl.DataFrame(rows, schema=["example_id", "prompt", "response"], orient="row")


def parameters(base: Path) -> int:
    return sum(parameter.numel() for parameter in load_model(base).parameters())


def flops_a_token(model: Any, length: float) -> float:
    """Forward and backward: 6 for each weight of a matrix product (the tied embedding is one, as the head),
    and causal attention's 6 x layers x hidden x length (Chowdhery et al. 2022, arXiv 2204.02311, appendix B,
    halved for causality).
    """
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.ndim >= 2)
    config = model.config
    return float(6 * weights + 6 * config.num_hidden_layers * config.hidden_size * length)


def matrix_product(size: int, device: torch.device) -> float:
    """TFLOP/s of one bf16 product of square matrices, the best of a few."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(12):
        settle(device)
        began = time.perf_counter()
        left @ right
        settle(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e12


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def plain(base: Path, examples: pl.DataFrame, hyper: Hyperparameters, device: torch.device) -> Pace:
    """The least that trains in bf16: autocast, loss, backward, clip, fused AdamW, in padded batches."""
    model: Any = load_model(base).train().to(device)
    encoded = SFT.encode(load_tokenizer(base), examples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=hyper.learning_rate, fused=True)
    lengths, rows = [example.length for example in encoded], []
    settings: Any = {"seed": 0, "epochs": 1, "batch_size": hyper.batch_size}
    for step in plan(examples["example_id"].to_list(), **settings):
        began = time.perf_counter()
        loss = 0.0
        units = sum(encoded[row].units for row in step.rows)
        for part in micro_batches(step.rows, lengths, size=hyper.micro_batch_size, device=0, devices=1):
            batch = collate([encoded[row] for row in part], SFT.padding, device)
            with torch.autocast(device.type, torch.bfloat16):
                total = SFT.loss(model, batch).total / units
            total.backward()
            loss += total.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), hyper.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        settle(device)
        tokens = sum(encoded[row].tokens for row in step.rows)
        rows.append({"loss": loss, "tokens": tokens, "seconds": time.perf_counter() - began})
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return pace(pl.DataFrame(rows), memory)


def ours(output: Path, base: Path, examples: pl.DataFrame, hyper: Hyperparameters) -> Pace:
    """The job as a round runs it: its own ledger says how long its steps took."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    job = TrainingJob(
        training_id="bench",
        snapshot_id="none",
        snapshot="none",
        base_checkpoint="bench",
        base=str(base),
        output=str(output),
        hyperparameters=hyper,
    )
    result = fit(job, examples)
    return pace(pl.read_parquet(result.ledger), result.peak_memory_bytes)


def pace(steps: pl.DataFrame, memory: int) -> Pace:
    counted = steps.slice(WARM_UP)
    rate = counted["tokens"].sum() / counted["seconds"].sum()
    return Pace(rate, steps["loss"][0], steps["loss"][-1], memory)


if __name__ == "__main__":
    sys.exit(main())
