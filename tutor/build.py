"""Builds the base model and its tokenizer from a seed: `python -m tutor.build --out tutor/base --seed 0`.

The base is an imitator of writers of mixed quality (tutor/writers.py) on practice stories only. The same
seed on the same machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.optim.lr_scheduler import LambdaLR
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.models.checkpoint import weights_hash
from tutor import BASE
from tutor.corpus import Written, corpus
from tutor.tokens import END, PAD, train_tokenizer

THREADS = 2
"""Fixed, since the order of sums inside a matrix product follows it."""
IGNORED = -100
"""The label of tokens that are not learned: questions and padding."""


@dataclass(frozen=True)
class Recipe:
    """How the base is made. `texts` are what its corpus holds, `steps` count batches.

    Matrices learn by Muon, which takes about half the steps that AdamW takes here; embeddings and norms
    by AdamW. `muon` and `adamw` are the peaks of their learning rates.
    """

    texts: int = 60_000
    steps: int = 1_000
    batch: int = 32
    muon: float = 0.02
    adamw: float = 4e-3
    warmup: int = 100
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 344
    positions: int = 1024


@dataclass(frozen=True)
class Example:
    """One written solution as tokens: the prompt as a user's, then the answer to its end token.

    `asides` are stretches of the answer that are not learned: what others say in a longer conversation.
    """

    prompt: list[int]
    answer: list[int]
    asides: tuple[slice, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def new_model(tokenizer: PreTrainedTokenizerFast, recipe: Recipe, seed: int) -> LlamaForCausalLM:
    """An untrained model that fits the tokenizer, its weights drawn from the seed."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return model


def encoded(tokenizer: PreTrainedTokenizerFast, texts: list[Written]) -> list[Example]:
    """The corpus through the chat template, as a user's message and the assistant's answer."""
    messages = [[{"role": "user", "content": each.question}] for each in texts]
    prompts = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    answers = [each.solution + END for each in texts]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer(answers, add_special_tokens=False)["input_ids"]
    return [Example(*pair) for pair in zip(prompt_ids, answer_ids, strict=True)]


def batches(examples: list[Example], recipe: Recipe, seed: int | str) -> list[list[Example]]:
    """`steps` batches of examples of like length, in an order drawn from the seed."""
    if len(examples) < recipe.batch:
        raise ValueError(f"{len(examples)} examples are fewer than a batch of {recipe.batch}")
    rng = random.Random(f"batches:{seed}")  # noqa: S311
    result: list[list[Example]] = []
    while len(result) < recipe.steps:
        order = rng.sample(examples, len(examples))
        for i in range(0, len(order) - recipe.batch + 1, 16 * recipe.batch):
            pool = sorted(order[i : i + 16 * recipe.batch], key=len)
            slices = [pool[j : j + recipe.batch] for j in range(0, len(pool), recipe.batch)]
            result += rng.sample(slices, len(slices))
    return result[: recipe.steps]


def loss_of(model: LlamaForCausalLM, batch: list[Example], pad: int) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens, over a batch padded on the right."""
    width = max(map(len, batch))
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), IGNORED)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.answer)
        answer = torch.tensor(example.answer)
        for aside in example.asides:
            answer[aside] = IGNORED
        labels[row, len(example.prompt) : len(example)] = answer
    # Padding is on the right and attention is causal: no token sees it, so no mask is needed.
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
    )


def train(
    model: LlamaForCausalLM, work: list[list[Example]], recipe: Recipe, pad: int, what: str = "base"
) -> float:
    """Trains in place, batch by batch; returns the mean loss of the last tenth, in nats a token."""
    optimizers = _optimizers(model, recipe)
    schedules = [LambdaLR(each, lambda step: _rate(step, recipe)) for each in optimizers]
    losses: list[float] = []
    model.train()
    with _progress() as progress:
        bar = progress.add_task(f"training the {what}", total=len(work), loss=float("nan"))
        for batch in work:
            loss = loss_of(model, batch, pad)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            model.zero_grad()
            losses.append(loss.item())
            progress.update(bar, advance=1, loss=losses[-1])
    model.train(False)
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=recipe.muon, weight_decay=0.01),
        torch.optim.AdamW(others, lr=recipe.adamw, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _rate(step: int, recipe: Recipe) -> float:
    """The learning rate as a share of its peak: a linear warm-up, then a cosine to a tenth."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    position = max(0.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * position)))


def build(out: Path, seed: int, recipe: Recipe) -> dict[str, object]:
    """Makes tokenizer, weights and `origin.json` in `out`; returns what the origin says.

    The folder appears whole or not at all; one that is there is replaced only when the new one is done.
    """
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    texts = corpus(seed, recipe.texts)
    tokenizer = train_tokenizer(f"{each.question}\n{each.solution}" for each in texts)
    model = new_model(tokenizer, recipe, seed)
    work = batches(encoded(tokenizer, texts), recipe, seed)
    loss = train(model, work, recipe, tokenizer.get_vocab()[PAD])
    origin = _origin(seed, recipe, texts, model.num_parameters(), loss)
    return save(out, model, tokenizer, origin)


def save(
    out: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, origin: dict[str, object]
) -> dict[str, object]:
    """Writes a model folder, whole or not at all, with an `origin.json`; returns what the origin says."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".building-") as folder:
        fresh = Path(folder) / "model"
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        origin = origin | made_with() | {"weights_sha256": weights_hash(fresh)}
        (fresh / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", "utf-8")
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
    return origin


def described(what: str, texts: list[Written], recipe: Recipe) -> dict[str, object]:
    """What an origin says of the texts that a model read."""
    return {
        "what": what,
        "texts": len(texts),
        "read": min(len(texts), recipe.steps * recipe.batch),
        "writers": dict(sorted(Counter(each.writer for each in texts).items())),
        "topics": dict(sorted(Counter(each.topic for each in texts).items())),
    }


def _origin(
    seed: int, recipe: Recipe, texts: list[Written], parameters: int, loss: float
) -> dict[str, object]:
    return {
        "made_by": "python -m tutor.build",
        "command": f"python -m tutor.build --seed {seed}",
        "seed": seed,
        "recipe": vars(recipe),
        "corpus": described(
            "practice stories of 1-3 steps (tutor.world), one solution each by a careful or a"
            " careless writer (tutor.writers), and sums (tutor.corpus); nothing of the held-out family",
            texts,
            recipe,
        ),
        "parameters": parameters,
        "final_loss": round(loss, 4),
    }


def made_with() -> dict[str, object]:
    """The versions and threads that the weights depend on besides the seed."""
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "threads": torch.get_num_threads(),
    }


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tutor.build", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=BASE, help="the model folder to write (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of corpus, weights and batches (%(default)s)")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="batches to train (%(default)s)")
    options = parser.parse_args(arguments)
    origin = build(options.out, options.seed, Recipe(steps=options.steps))
    print(json.dumps(origin, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
