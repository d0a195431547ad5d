"""People's pairs of answers at a loop's opening: those that fit the model, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from flows.opening.admission import Admitted
from schemas.recipes.shared import Recipe
from schemas.units import Unit
from tasks.admit.apart import MARKS, TOO_LONG, refuse
from tasks.admit.pairs import pair_rows
from tasks.admit.prompts import prompt_rows
from tasks.models.asking import put
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.rendering import forged_in_answer
from tasks.models.turns import example_lengths
from warehouse.log import Log

SHARD = 2000  # pairs in one unit of admission


def fitting_pairs(admitted: Admitted, recipe: Recipe, model: Path) -> Admitted:
    """The pairs whose two answers the model can be shown: whole, and without marks of a turn of their own."""
    held_out, refused = _fitting(admitted.held_out, recipe, model)
    parts = [refused.with_columns(part=pl.lit("eval" if "eval" in admitted.files else "train"))]
    training = admitted.training
    if training is not None:
        training, refused = _fitting(training, recipe, model)
        parts.append(refused.with_columns(part=pl.lit("train")))
    return replace(
        admitted, training=training, held_out=held_out, refused=pl.concat([admitted.refused, *parts])
    )


def _fitting(pairs: pl.DataFrame, recipe: Recipe, model: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    tokenizer, context = load_tokenizer(model, recipe.prompts.chat), context_length(model)
    limit = min(recipe.training.max_tokens, context or recipe.training.max_tokens)
    prompts = [put(one, recipe.prompts.asking) for one in prompts_of(pairs)]
    forges, long = [False] * pairs.height, [False] * pairs.height
    for side in ("reference", "rejected"):
        texts = pairs[side].to_list()
        lengths = example_lengths(tokenizer, prompts, texts)
        forges = [
            a or forged_in_answer(tokenizer, text) is not None for a, text in zip(forges, texts, strict=True)
        ]
        long = [a or length > limit for a, length in zip(long, lengths, strict=True)]
    marked, over = (pl.Series(name, one, dtype=pl.Boolean) for name, one in (("f", forges), ("l", long)))
    refused = [refuse(pairs.filter(marked), MARKS), refuse(pairs.filter(over & ~marked), TOO_LONG)]
    return pairs.filter(~(marked | over)), pl.concat(refused)


def admit_pairs(log: Log, loop: str, splits: Mapping[str, pl.DataFrame]) -> None:
    """Record the pairs of a loop's file in round 0, once: two candidates and one preference each."""
    for split in ("eval", "train"):
        pairs = splits.get(split)
        if pairs is None or pairs.is_empty():
            continue
        candidates, preferences = pair_rows(pairs, prompt_rows(pairs, split, loop, 0), loop)
        for table, rows in (("candidates", candidates), ("preferences", preferences)):
            parts = list(rows.iter_slices(SHARD))
            units = [Unit(loop, 0, f"pairs-{split}", number) for number in range(len(parts))]
            log.once_each(units, table, partial(_parts, parts))


def _parts(parts: list[pl.DataFrame], missing: list[Unit]) -> list[pl.DataFrame]:
    return [parts[unit.shard] for unit in missing]
