"""Samples a second of the embedded engine against a plain `generate` loop: `python -m bench.generate`.

Both write the same number of samples to the same tutor stories with the same settings, in turns, so that a
busy machine slows both. The plain loop is what a first script does: one prompt at a time, in the order given,
`num_return_sequences=k`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from schemas.recipe import Sampling
from tasks.checkpoint import load_model, prompt_ids
from tasks.generate.embedded import EmbeddedEngine
from tutor import BASE
from tutor.world import stories

REQUIRED = 3.0


@dataclass(frozen=True)
class Turn:
    """One measured run. `processor` is CPU time over all threads; both times in seconds."""

    samples: int
    tokens: int
    wall: float
    processor: float


def timed(write: Callable[[], tuple[int, int]]) -> Turn:
    """`write` returns how many samples and tokens it wrote."""
    wall, processor = time.perf_counter(), time.process_time()
    samples, tokens = write()
    return Turn(samples, tokens, time.perf_counter() - wall, time.process_time() - processor)


def embedded(engine: EmbeddedEngine, prompts: Sequence[str], sampling: Sampling) -> tuple[int, int]:
    """The engine, all prompts in one call."""
    answers = engine.generate(prompts, sampling, [2**16 * i for i in range(len(prompts))])
    written = [sample.token_count for samples in answers for sample in samples]
    return len(written), sum(written)


def plain(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Sampling) -> tuple[int, int]:
    """transformers' own loop, decoded to text as a caller would."""
    samples, tokens = 0, 0
    for prompt in prompts:
        ids = torch.tensor([prompt_ids(tokenizer, prompt)], device=model.device)
        written = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=sampling.temperature,
            top_k=0,
            num_return_sequences=sampling.samples,
            max_new_tokens=sampling.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )[:, ids.shape[1] :]
        tokenizer.batch_decode(written, skip_special_tokens=True)
        samples += len(written)
        tokens += int((written != tokenizer.pad_token_id).sum())
    return samples, tokens


def measure(given: argparse.Namespace) -> dict[str, list[Turn]]:
    """Turns of both, the engine's first; a small warm-up of each is not counted."""
    engine = EmbeddedEngine(given.model, device=given.device)
    model: Any = load_model(given.model)
    model.to(engine.device)
    sampling = Sampling(samples=given.samples, temperature=given.temperature, max_tokens=given.max_tokens)
    asked = [story.question for story in stories(given.seed, given.prompts, difficulties=(1, 2, 3))]
    few = asked[: given.plain_prompts]
    embedded(engine, asked[:32], sampling)
    plain(model, engine.tokenizer, asked[:2], sampling)
    turns: dict[str, list[Turn]] = {"embedded": [], "plain": []}
    for _ in range(given.turns):
        turns["embedded"].append(timed(lambda: embedded(engine, asked, sampling)))
        turns["plain"].append(timed(lambda: plain(model, engine.tokenizer, few, sampling)))
    return turns


def summary(turns: Sequence[Turn]) -> dict[str, float]:
    """Medians over the turns."""
    rates = {
        "samples": float(turns[0].samples),
        "seconds": statistics.median(turn.wall for turn in turns),
        "samples_per_second": statistics.median(turn.samples / turn.wall for turn in turns),
        "tokens_per_second": statistics.median(turn.tokens / turn.wall for turn in turns),
        "samples_per_cpu_second": statistics.median(turn.samples / turn.processor for turn in turns),
    }
    return {name: round(value, 2) for name, value in rates.items()}


def show(found: dict[str, dict[str, float]], ratio: float) -> None:
    """The table a reader looks at."""
    columns = list(found["embedded"])
    table = Table("", *(name.replace("_", " ") for name in columns), title="Generation")
    for name, row in found.items():
        table.add_row(name, *(f"{row[column]:,.1f}" for column in columns))
    console = Console()
    console.print(table)
    console.print(f"embedded / plain: {ratio:.1f} times the samples a second (required: {REQUIRED:g})")


def main(arguments: list[str] | None = None) -> int:
    """Prints the table (or JSON); exit code 1 where the ratio is below what is required."""
    parser = argparse.ArgumentParser(prog="python -m bench.generate", description="Generation speed.")
    parser.add_argument("--model", type=Path, default=BASE, help="model folder (%(default)s)")
    parser.add_argument("--prompts", type=int, default=2000, help="stories for the engine (%(default)s)")
    parser.add_argument("--plain-prompts", type=int, default=50, help="of them for the loop (%(default)s)")
    parser.add_argument("--samples", type=int, default=4, help="samples a story (%(default)s)")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=3, help="times each is measured (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default=None, help="cpu or cuda (the GPU where there is one)")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (all cores)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    found = {name: summary(turns) for name, turns in measure(given).items()}
    ratio = found["embedded"]["samples_per_second"] / found["plain"]["samples_per_second"]
    if given.json:
        print(json.dumps(found | {"ratio": round(ratio, 2), "required": REQUIRED}))
    else:
        show(found, ratio)
    return 0 if ratio >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
