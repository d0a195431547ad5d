"""A tiny model folder, examples, jobs, and processes to kill: everything a training needs, fast."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.ids import HEX_DIGITS
from schemas.job import Distil, Hyperparameters, TrainingJob
from tasks.models.checkpoint import load_tokenizer
from tasks.models.rendering import prompt_tokens
from tasks.models.turns import answer_tokens
from tasks.train.result import TrainingResult
from tasks.train.soft_targets import soft_target_rows
from tests.commands import forks_of
from tests.forked import Forks
from warehouse.snapshot import content_hash

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_model(folder: Path, template: str | None = TEMPLATE, **config: Any) -> Path:
    """A random two-layer Llama with a byte tokenizer, as a Hugging Face folder."""
    alphabet = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytes_only = Tokenizer(models.BPE(alphabet, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
    )
    tokenizer.chat_template = template
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    settings = {"max_position_embeddings": 256, "vocab_size": len(tokenizer), "tie_word_embeddings": True}
    LlamaForCausalLM(LlamaConfig(**settings | sizes | ends | config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Models this small gain nothing from threads, which stall each other where cores are shared."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("RATCHET_CPU_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def new_model() -> Callable[..., Path]:
    """`new_model(folder, template)`: a random model folder, by default with a chat template."""
    return write_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def examples() -> pl.DataFrame:
    """22 sums of different lengths."""
    sums = [tuple(range(1, 2 + i % 7)) for i in range(22)]
    return pl.DataFrame(
        {
            "example_id": [f"ex-{i:02d}" for i in range(len(sums))],
            "prompt": [f"Story {i}: add {' and '.join(map(str, s))}." for i, s in enumerate(sums)],
            "response": [f"<<{'+'.join(map(str, s))}={sum(s)}>> #### {sum(s)}" for s in sums],
        }
    )


@pytest.fixture(scope="session")
def pairs(examples: pl.DataFrame) -> pl.DataFrame:
    """18 pairs, right over wrong or the other way about and of unlike lengths, and 4 demonstrations."""
    wrong = pl.format("I think it is {}", pl.col("example_id").str.tail(2))
    turned = pl.int_range(pl.len()) % 3 == 0
    return examples.select(
        "example_id",
        "prompt",
        chosen=pl.when(turned).then(wrong).otherwise("response"),
        rejected=pl.when(pl.int_range(pl.len()) < 18).then(pl.when(turned).then("response").otherwise(wrong)),
    )


@pytest.fixture(scope="session")
def soft_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """22 pairs, of which every third is certain (no probability), the others more or less so."""
    place = pl.int_range(pl.len())
    soft = pl.when(place % 3 > 0).then(0.5 + (place % 11) / 22)
    return pairs.with_columns(pl.col("rejected").fill_null("I do not know."), probability=soft)


@pytest.fixture(scope="session")
def rollouts(examples: pl.DataFrame, base: Path) -> pl.DataFrame:
    """22 answers as the tiny base might have drawn them at unlike temperatures, more bad ones than good."""
    tokens = answer_tokens(load_tokenizer(base), examples["response"].to_list())
    rows = []
    for number, (row, ids) in enumerate(zip(examples.to_dicts(), tokens, strict=True)):
        noise = [math.sin(7 * number + 3 * place) for place in range(len(ids))]
        near = [-math.log(260) + 0.3 * one for one in noise]
        rows.append(
            row
            | {
                "token_ids": ids,
                "behaviour_logprobs": near,
                "reference_logprobs": [one - 0.2 * other for one, other in zip(near, noise, strict=True)],
                "advantages": [(0.5 if number % 3 == 0 else -1.0) + 0.1 * one for one in noise],
                "temperature": 1.0 if number % 2 else 0.8,
                "passed": number % 3 == 0,
                "returns": [((7 * number + place) % 13) / 6 - 1 for place in range(len(ids))],
            }
        )
    values = 0.5 * pl.element()
    return pl.DataFrame(rows).with_columns(values=pl.col("returns").list.eval(values))


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A larger model of the same tokens, with more to say than that all are alike."""
    return write_model(tmp_path_factory.mktemp("teacher"), hidden_size=48, initializer_range=0.3)


@pytest.fixture(scope="session")
def softened(rollouts: pl.DataFrame, base: Path, teacher: Path) -> pl.DataFrame:
    """22 texts of different lengths, with what the teacher says of them by the objective's defaults."""
    return with_soft_targets(rollouts, base, teacher, Distil())


def with_soft_targets(rows: pl.DataFrame, base: Path, teacher: Path, settings: Distil) -> pl.DataFrame:
    """Examples with the columns that objective `distil` learns from."""
    prompts = prompt_tokens(load_tokenizer(base), rows["prompt"].to_list())
    texts = list(zip(rows["example_id"], prompts, rows["token_ids"].to_list(), strict=True))
    said = pl.concat(soft_target_rows(teacher, "ckpt", texts, settings, seed=0))
    columns = ("teacher_ids", "teacher_logprobs", "tail_logprobs")
    return rows.select("example_id", "prompt", "token_ids").with_columns(said[name] for name in columns)


def freeze(folder: Path, examples: pl.DataFrame) -> str:
    """The examples as a snapshot folder; its id."""
    content = content_hash(examples)
    folder.mkdir(exist_ok=True)
    examples.write_parquet(folder / "examples.parquet")
    (folder / "manifest.json").write_text(json.dumps({"content_hash": content}))
    return f"snap-00000-{content[:HEX_DIGITS]}"


@pytest.fixture
def make_job(tmp_path: Path, base: Path, examples: pl.DataFrame) -> Callable[..., TrainingJob]:
    """Jobs on the tiny base, each in the folder it names; keywords are hyperparameters."""

    def make(
        name: str = "job",
        *,
        folder: Path = base,
        rows: pl.DataFrame = examples,
        objective: str = "sft",
        **hyper: Any,
    ) -> TrainingJob:
        settings = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2} | hyper
        return TrainingJob(
            training_id="train-00000-tiny",
            objective=objective,
            snapshot_id=freeze(tmp_path / f"snapshot-{name}", rows),
            snapshot=str(tmp_path / f"snapshot-{name}"),
            base_checkpoint="ckpt-00000-tiny",
            base=str(folder),
            output=str(tmp_path / name),
            hyperparameters=Hyperparameters(**settings),
        )

    return make


def told(result: TrainingResult) -> pl.DataFrame:
    """What a training's ledger says of the work; how long it took and what it held differ each time."""
    return pl.read_parquet(result.ledger).drop("seconds", "peak_memory_bytes")


def at_start(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every process that a job launches run this first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture(scope="session")
def forks(plain: dict[str, str]) -> Forks:
    """A process that has loaded what a training needs, to fork it from."""
    return forks_of(plain)


@pytest.fixture
def in_another_process(forks: Forks) -> Callable[..., int]:
    """Train in a process of its own, killed at a named point if asked; its exit code."""

    def run(job: TrainingJob, fault: str = "") -> int:
        path = Path(job.output).with_suffix(".json")
        path.write_text(job.model_dump_json())
        result = forks.run("tasks.train.launch:main", [str(path)], os.environ | {"RATCHET_FAULT": fault})
        return result.returncode

    return run
