"""Samples a second of the engines, in turns: `python -m bench.engines`.

The embedded engine and vLLM (where `make vllm` was run) write the same samples to the same prompts in one
call each. The plain loop is what a first script does: one prompt at a time, in the order given,
`num_return_sequences=k`; it writes fewer samples, with the same settings. Turn by turn, so that a busy
machine slows all of them. CPU time is that of a whole engine: vLLM's server and its children are counted, the
client too.
"""

from __future__ import annotations

import argparse
import json
import os
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

from schemas.engine import Vllm
from schemas.errors import RatchetError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.engine import Engine
from tasks.generate.vllm.vllm import VllmServer
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tutor import BASE
from tutor.world import stories

REQUIRED = 3.0


@dataclass(frozen=True)
class Turn:
    """One measured run. `processor` is CPU time over all threads and servers; both times in seconds."""

    samples: int
    tokens: int
    wall: float
    processor: float


def timed(write: Callable[[], tuple[int, int]], group: int | None = None) -> Turn:
    """`write` returns how many samples and tokens it wrote; `group`: processes whose time is counted too."""
    wall, processor = time.perf_counter(), time.process_time() + seconds_of(group)
    samples, tokens = write()
    spent = time.process_time() + seconds_of(group) - processor
    return Turn(samples, tokens, time.perf_counter() - wall, spent)


def seconds_of(group: int | None) -> float:
    """CPU seconds of all living processes of a group so far (Linux); 0 for None."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat") if group is not None else ():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def engine(engine: Engine, prompts: Sequence[str], sampling: Sampling) -> tuple[int, int]:
    """An engine, all prompts in one call."""
    answers = engine.generate(prompts, sampling, [2**16 * i for i in range(len(prompts))])
    counts = [len(sample.token_ids) for samples in answers for sample in samples]
    return len(counts), sum(counts)


def plain(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Sampling) -> tuple[int, int]:
    """transformers' own loop, decoded to text as a caller would."""
    samples, tokens = 0, 0
    for prompt in prompts:
        ids = torch.tensor([prompt_ids(tokenizer, prompt)], device=model.device)
        outputs = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=sampling.temperature,
            top_k=0,
            num_return_sequences=sampling.samples,
            max_new_tokens=sampling.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )[:, ids.shape[1] :]
        tokenizer.batch_decode(outputs, skip_special_tokens=True)
        samples += len(outputs)
        tokens += int((outputs != tokenizer.pad_token_id).sum())
    return samples, tokens


def measure(options: argparse.Namespace) -> tuple[dict[str, list[Turn]], str | None]:
    """Turns of each, a small warm-up of each not counted; and why vLLM is not among them, where it is not."""
    embedded = EmbeddedEngine(options.model, device=options.device)
    model: Any = load_model(options.model)
    model.to(embedded.device)
    sampling = Sampling(
        samples=options.samples, temperature=options.temperature, max_tokens=options.max_tokens
    )
    questions = [story.question for story in stories(options.seed, options.prompts, difficulties=(1, 2, 3))]
    few = questions[: options.plain_prompts]
    turns: dict[str, list[Turn]] = {"embedded": [], "plain": []}
    with VllmServer(Vllm(), say=lambda line: print(line, file=sys.stderr)) as server:
        served, absent = server.engine(options.model), None
        engine(embedded, questions[:32], sampling)
        plain(model, embedded.tokenizer, questions[:2], sampling)
        try:
            engine(served, questions[:32], sampling)
        except RatchetError as error:
            absent = str(error)
        for _ in range(options.turns):
            turns["embedded"].append(timed(lambda: engine(embedded, questions, sampling)))
            turns["plain"].append(timed(lambda: plain(model, embedded.tokenizer, few, sampling)))
            if absent is None:
                group = server.serving(options.model).server.group
                turns.setdefault("vllm", []).append(timed(lambda: engine(served, questions, sampling), group))
    return turns, absent


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


def show(summaries: dict[str, dict[str, float]], ratios: dict[str, float], absent: str | None) -> None:
    """The table a reader looks at."""
    columns = list(summaries["embedded"])
    table = Table("", *(name.replace("_", " ") for name in columns), title="Generation")
    for name, row in summaries.items():
        table.add_row(name, *(f"{row[column]:,.1f}" for column in columns))
    if absent is not None:
        table.add_row("vllm", *["absent"] * len(columns))
    console = Console()
    console.print(table)
    for name, ratio in ratios.items():
        required = f" (required: {REQUIRED:g})" if name == "embedded" else ""
        console.print(f"{name} / plain: {ratio:.1f} times the samples a second{required}")
    if absent is not None:
        console.print(f"vllm is absent: {absent}", highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table (or JSON); exit code 1 where the embedded engine's ratio is below what is required."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description="Generation speed.")
    parser.add_argument("--model", type=Path, default=BASE, help="model folder (%(default)s)")
    parser.add_argument("--prompts", type=int, default=2000, help="stories for the engines (%(default)s)")
    parser.add_argument(
        "--plain-prompts", type=int, default=50, help="of them for the plain loop (%(default)s)"
    )
    parser.add_argument("--samples", type=int, default=4, help="samples a story (%(default)s)")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=3, help="times each is measured (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default=None, help="cpu or cuda (the GPU where there is one)")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (all cores)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    runs, absent = measure(options)
    summaries = {name: summary(turns) for name, turns in runs.items()}
    speed = {name: row["samples_per_second"] for name, row in summaries.items()}
    ratios = {name: round(speed[name] / speed["plain"], 2) for name in speed if name != "plain"}
    if options.json:
        print(json.dumps(summaries | {"ratios": ratios, "required": REQUIRED, "vllm_absent": absent}))
    else:
        show(summaries, ratios, absent)
    return 0 if ratios["embedded"] >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
