"""Training speed: our loop against a plain PyTorch loop over the same micro-batches, in the same run.

    python bench/training.py [--examples 512] [--threads N] [--micro-batch-size 16]

Prints tokens a second (padding not counted), by wall clock and by CPU time, and the ratio. CPU time is
the one to read where others use the cores too.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.job import Hyperparameters, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer
from tasks.train.batches import collate, micro_batches, plan
from tasks.train.loop import fit
from tasks.train.objectives.sft import SFT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--micro-batch-size", type=int, default=None)
    options = parser.parse_args()
    os.environ["RATCHET_CPU_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples, base = stories(options.examples), tutor_sized(folder / "base")
        hyper = Hyperparameters(epochs=1, learning_rate=1e-3, micro_batch_size=options.micro_batch_size)
        packed = hyper.model_copy(update={"packing": "padding-free"})
        plain(base, examples.head(64), hyper)  # warm up
        tokens = sum(e.tokens for e in SFT.encode(load_tokenizer(base), examples))
        rates = {
            "plain loop": measured(tokens, lambda: plain(base, examples, hyper)),
            "tasks.train": measured(tokens, lambda: ours(folder / "padded", base, examples, hyper)),
            "padding-free": measured(tokens, lambda: ours(folder / "packed", base, examples, packed)),
        }
    print(f"{options.threads} threads, {tokens} tokens in {examples.height} examples")
    print(f"{'':14}{'tokens/s':>12}{'tokens/CPU s':>14}{'of plain (CPU)':>16}")
    for name, (wall, cpu) in rates.items():
        print(f"{name:14}{wall:12,.0f}{cpu:14,.0f}{cpu / rates['plain loop'][1]:16.2f}")


def stories(count: int) -> pl.DataFrame:
    """Examples as long as the tutor's: 80 to 190 tokens of a byte tokenizer."""
    random.seed(0)
    rows = [(f"ex-{i}", "p" * random.randint(50, 110), "r" * random.randint(30, 80)) for i in range(count)]
    return pl.DataFrame(rows, schema=["example_id", "prompt", "response"], orient="row")


def tutor_sized(folder: Path) -> Path:
    """A random Llama of about 0.9 million parameters (hidden 128, 4 layers, 640 tokens)."""
    alphabet = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes: Any = {
        "hidden_size": 128,
        "intermediate_size": 344,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    }
    config = LlamaConfig(vocab_size=640, max_position_embeddings=512, tie_word_embeddings=True, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def plain(base: Path, examples: pl.DataFrame, hyper: Hyperparameters) -> None:
    """The least that trains: forward, loss, backward, clip, AdamW."""
    model: Any = load_model(base).train()
    encoded = SFT.encode(load_tokenizer(base), examples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=hyper.learning_rate)
    lengths = [example.length for example in encoded]
    for step in plan(examples["example_id"].to_list(), seed=0, epochs=1, batch_size=hyper.batch_size):
        for rows in micro_batches(step.rows, lengths, size=hyper.micro_batch_size, device=0, devices=1):
            batch = collate([encoded[row] for row in rows], SFT.padding, torch.device("cpu"))
            out = model(input_ids=batch["input_ids"], labels=batch["labels"], use_cache=False)
            (out.loss * len(rows) / len(step.rows)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), hyper.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()


def ours(folder: Path, base: Path, examples: pl.DataFrame, hyper: Hyperparameters) -> None:
    """The whole job: reading, encoding, training, ledger, checkpoint, result."""
    job = TrainingJob(
        training_id="bench",
        snapshot_id="none",
        snapshot="none",
        base_checkpoint="bench",
        base=str(base),
        output=str(folder),
        hyperparameters=hyper,
    )
    fit(job, examples)


def measured(tokens: int, work: Callable[[], None]) -> tuple[float, float]:
    """Tokens a second, by wall clock and by this process's CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return tokens / (time.perf_counter() - wall), tokens / (time.process_time() - cpu)


if __name__ == "__main__":
    main()
