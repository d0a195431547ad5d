"""Seed sets of a loop: demonstrations of answering and of judging, admitted in round 0.

Their prompts have a split of their own, `seed`: no round asks them. A demonstration of judging is a question
as the loop's own judge is asked it, by its rubric, and a judgement of that form.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl

import tutor.seeds
from flows.judges import TUTORS, chosen_rubric
from schemas.errors import PromptFileError
from schemas.self_rewarding import SelfRewarding
from schemas.units import Unit
from tasks.admit import demonstration_rows, prompt_rows, read_prompts
from tasks.checkpoint import load_tokenizer
from tasks.verify.judge import Asked, question
from tasks.verify.judgement import read_vote
from tasks.verify.neutral import special_texts
from tasks.verify.rubric import Rubric
from warehouse.log import Log

SETS = ("instruction", "evaluation")


def seed_sets(model: Path, recipe: SelfRewarding) -> dict[str, pl.DataFrame]:
    """The recipe's demonstrations by set, checked, where it has any: columns as tutor.seeds.DEMONSTRATED."""
    wanted, found = recipe.seeds, {}
    own = recipe.prompts.path is None
    if wanted.instruction is not None:
        read = read_prompts(Path(wanted.instruction))
        found["instruction"] = read.with_columns(response="reference", reference=pl.lit(None, pl.String))
    elif own:
        found["instruction"] = tutor.seeds.answering(recipe.seed, wanted.count)
    if wanted.evaluation is not None:
        found["evaluation"] = _judgements(Path(wanted.evaluation), model, recipe)
    elif own and _rubric(model, recipe).name == TUTORS["points"]:
        found["evaluation"] = tutor.seeds.judging(recipe.seed, wanted.count)
    return found


def admit_seeds(log: Log, loop: str, sets: Mapping[str, pl.DataFrame]) -> None:
    """Record seed sets in round 0, once: their prompts and what is demonstrated."""
    for name, demonstrated in sets.items():
        prompts = prompt_rows(demonstrated.drop("response"), "seed", loop, 0)
        responses = demonstration_rows(demonstrated, prompts, loop)
        unit = seeds_unit(loop, name)
        log.once(unit, "prompts", partial(_same, prompts))
        log.once(unit, "candidates", partial(_same, responses))


def _same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def seeds_unit(loop: str, name: str) -> Unit:
    """The unit that holds a set's prompts and demonstrations."""
    return Unit(loop, 0, f"seeds-{name}")


def _judgements(path: Path, model: Path, recipe: SelfRewarding) -> pl.DataFrame:
    """A file of judgements as the loop's judge would be asked for them; PromptFileError names a bad line."""
    rubric = _rubric(model, recipe)
    specials = special_texts(load_tokenizer(model))
    read = read_prompts(path, further="judgement")
    for line, text in read.select("line", "judgement").iter_rows():
        if read_vote(text, "stop", rubric).verdict is None:
            raise PromptFileError(f"{path}, line {line}: the judgement has no verdict of {rubric.name}")
    asked = [
        question(rubric, Asked(prompt, answer), specials)
        for prompt, answer in read.select("text", "reference").iter_rows()
    ]
    return read.select(
        "source",
        "line",
        pl.Series("text", asked, dtype=pl.String),
        pl.lit(None, pl.String).alias("reference"),
        "topic",
        "difficulty",
        response="judgement",
    )


def _rubric(model: Path, recipe: SelfRewarding) -> Rubric:
    return chosen_rubric(model, recipe.rewarding.rubric, "points", recipe.rewarding.votes)
