"""Teaches the base to judge: `python -m tutor.judge_build --out tutor/judge --seed 0`.

The judge starts from the shipped base and learns from graders of mixed quality (tutor/grading.py). The same
seed on the same machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.verify.judge.rubric import load_rubric
from tutor import BASE, JUDGE
from tutor.build import THREADS, Example, Recipe, batches, encoded, save, train
from tutor.corpus import Written
from tutor.grading import BLIND, CARELESS, demonstrations
from tutor.tokens import PAD

RECIPE = Recipe(texts=12_000, steps=750, batch=16, muon=0.01, adamw=2e-3, warmup=30)
"""The sizes of the model are the base's."""


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the judge in `out`, from the shipped base; returns what its `origin.json` says."""
    graded = demonstrations(seed, recipe.texts)
    texts = [Written(each.question, each.solution, each.topic, "careful") for each in graded]
    origin = {
        "made_by": "python -m tutor.judge_build",
        "command": f"python -m tutor.judge_build --seed {seed}",
        "rubrics": [load_rubric(name).label for name in ("story", "story-pair")],
        "corpus": {
            "what": "practice stories of 1-3 steps, each with one or two answers and a grader's critique and"
            " verdict (tutor.grading); nothing of the held-out family",
            "texts": len(graded),
            "read": min(len(graded), recipe.steps * recipe.batch),
            "kinds": dict(sorted(Counter(each.writer for each in graded).items())),
            "careless_grades": CARELESS,
            "blind_topics": sorted(BLIND),
        },
    }
    return teach(out, texts, seed, recipe, "judge", origin)


def teach(
    out: Path,
    texts: list[Written],
    seed: int,
    recipe: Recipe,
    what: str,
    origin: Mapping[str, object],
    start: Path = BASE,
) -> dict[str, object]:
    """Teach one of the tutor's models the texts and write it into `out`; returns what its origin says."""
    examples = encoded(cast(PreTrainedTokenizerFast, load_tokenizer(start)), texts)
    return teach_examples(out, start, examples, seed, recipe, what, origin)


def teach_examples(
    out: Path,
    start: Path,
    examples: list[Example],
    seed: int,
    recipe: Recipe,
    what: str,
    origin: Mapping[str, object],
) -> dict[str, object]:
    """Teach one of the tutor's models the examples, write it into `out`; returns what its origin says."""
    return teach_batches(out, start, batches(examples, recipe, seed), seed, recipe, what, origin)


def teach_batches(
    out: Path,
    start: Path,
    work: list[list[Example]],
    seed: int,
    recipe: Recipe,
    what: str,
    origin: Mapping[str, object],
    threads: int = THREADS,
) -> dict[str, object]:
    """Teach one of the tutor's models batch by batch, write it into `out`; returns what its origin says."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = cast(PreTrainedTokenizerFast, load_tokenizer(start))
    model = cast(LlamaForCausalLM, load_model(start))
    loss = train(model, work, recipe, tokenizer.get_vocab()[PAD], what)
    settings = {"seed": seed, "base": weights_hash(start), "recipe": vars(recipe)}
    results = {"parameters": model.num_parameters(), "final_loss": round(loss, 4)}
    return save(out, model, tokenizer, {**origin, **settings, **results})


def build_by_command(
    arguments: list[str] | None,
    program: str,
    purpose: str,
    out: Path,
    build: Callable[[Path, int], dict[str, object]],
) -> int:
    """The command line of a model that is taught from the base: a folder and a seed; prints its origin."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=purpose.split(":")[0])
    parser.add_argument("--out", type=Path, default=out, help="the model folder to write (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of texts and batches (%(default)s)")
    options = parser.parse_args(arguments)
    print(json.dumps(build(options.out, options.seed), indent=2))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.judge_build", __doc__ or "", JUDGE, build)


if __name__ == "__main__":
    sys.exit(main())
