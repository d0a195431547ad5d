"""Seed sets of a loop: demonstrations of answering and of judging, admitted in round 0.

Their prompts have a split of their own, `seed`: no round asks them. A demonstration of judging is a question
as the loop's own judge is asked it, by its rubric, and a judgement of that form.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

import tutor.seeds
from flows.opening.admission import forging
from flows.opening.demonstrations import JUDGING, judging_prompts
from flows.opening.opening import Opening
from flows.recipes.self_rewarding.rewards import reward_rubric
from flows.round.progress import reporter
from flows.writers.judges import TUTORS
from schemas.errors import BadInput, PromptFileError, RecipeError
from schemas.recipes.self_rewarding import SelfRewarding
from tasks.admit.reading import places, read_prompts
from tasks.filter.held_out import HeldOut
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompts_of, spoken_text
from tasks.models.neutral import special_texts
from tasks.verify.judge.judge import JudgeInput, judge_prompt
from tasks.verify.judge.judgement import read_vote
from tasks.verify.references import accepted_of
from warehouse.lake import Lake

SETS = ("instruction", JUDGING)


def demonstration_sets(model: Path, recipe: SelfRewarding, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The recipe's demonstrations by set, checked, where it has any: columns as tutor.seeds.DEMONSTRATED.

    Demonstrations that ask, or judge answers to, something like a held-out prompt are left out.
    """
    seed_sets, sets = recipe.seeds, {}
    spoken = [spoken_text(prompt) for prompt in prompts_of(held_out)]
    own, index = recipe.prompts.path is None, HeldOut(spoken, spoken)
    if seed_sets.instruction is not None:
        rows = _apart(_answered(Path(seed_sets.instruction)), index, seed_sets.instruction)
        _refuse_forging(rows, model, recipe)
        sets["instruction"] = rows.with_columns(response="reference", reference=pl.lit(None, pl.String))
    elif own:
        sets["instruction"] = tutor.seeds.answering(recipe.seed, seed_sets.count, recipe.prompts.family)
    if seed_sets.evaluation is not None:
        sets["evaluation"] = _judgements(Path(seed_sets.evaluation), model, recipe, index)
    elif own and reward_rubric(recipe, model).name == TUTORS["points"]:
        sets["evaluation"] = tutor.seeds.judging(recipe.seed, seed_sets.count, recipe.prompts.family)
    return sets


def with_demonstrations(recipe: SelfRewarding, opening: Opening) -> Opening:
    """The opening of a loop with the recipe's seed sets; RecipeError where it needs both and lacks one."""
    sets = demonstration_sets(opening.model, recipe, opening.held_out)
    if recipe.seeds.sft_start and len(sets) < len(SETS):
        raise RecipeError("seeds.sft_start needs seeds.instruction and seeds.evaluation")
    return replace(opening, demonstrations=sets)


def check_demonstrations(recipe: SelfRewarding, lake: Lake, loop: str) -> None:
    """Refuse to go on with a loop that was opened without the seed sets that a recipe learns from."""
    has_judging = recipe.seeds.evaluation is not None or recipe.prompts.path is None
    if has_judging and recipe.seeds.keep_judging > 0 and not judging_prompts(lake, loop):
        raise BadInput(
            f"loop {loop} was opened without demonstrations of judging: use another --loop, "
            "or --set seeds.keep_judging=0"
        )


def _answered(path: Path, further: str | None = None) -> pl.DataFrame:
    """A file of prompts that all have an answer; PromptFileError names a line that has none."""
    rows = read_prompts(path, further)
    without = rows.filter(pl.col("reference").fill_null("").str.strip_chars() == "")
    if not without.is_empty():
        raise PromptFileError(f"{path}, {places(without)[0]}: a demonstration needs an answer")
    several = [
        place
        for place, text in zip(places(rows), rows["reference"], strict=True)
        if len(accepted_of(text)) > 1
    ]
    if several:
        raise PromptFileError(f"{path}, {several[0]}: a demonstration has one answer, not a list")
    return rows


def _refuse_forging(rows: pl.DataFrame, model: Path, recipe: SelfRewarding) -> None:
    """PromptFileError where a demonstration's conversation would end or begin a turn in its content."""
    seed_sets, tokenizer = recipe.seeds, load_tokenizer(model, recipe.prompts.chat)
    forges = forging(rows, tokenizer, seed_sets.sft_training.turns == "all")
    if forges.any():
        place = places(rows.filter(forges))[0]
        raise PromptFileError(f"{seed_sets.instruction}, {place}: a message holds marks of a turn")


def _apart(rows: pl.DataFrame, index: HeldOut, name: str) -> pl.DataFrame:
    """The prompts of a file that overlap no held-out one."""
    far = [index.near(spoken_text(prompt)) is None for prompt in prompts_of(rows)]
    apart = rows.filter(pl.Series(far, dtype=pl.Boolean))
    if apart.height < rows.height:
        reporter().say(
            f"{rows.height - apart.height:,} demonstrations of {name} overlap held-out prompts: left out"
        )
    return apart


def _judgements(path: Path, model: Path, recipe: SelfRewarding, index: HeldOut) -> pl.DataFrame:
    """A file of judgements as the loop's judge would be asked for them; PromptFileError names a bad line."""
    rubric = reward_rubric(recipe, model)
    specials = special_texts(load_tokenizer(model, recipe.prompts.chat))
    rows = _apart(_answered(path, further="judgement"), index, str(path))
    for place, text in zip(places(rows), rows["judgement"], strict=True):
        if read_vote(text, "stop", rubric).verdict is None:
            raise PromptFileError(f"{path}, {place}: the judgement has no verdict of {rubric.name}")
    judge_prompts = [
        judge_prompt(rubric, JudgeInput(prompt, answer), specials)
        for prompt, answer in zip(prompts_of(rows), rows["reference"], strict=True)
    ]
    return rows.select(
        "source",
        "line",
        pl.Series("text", judge_prompts, dtype=pl.String),
        pl.lit(None, pl.String).alias("reference"),
        "topic",
        "difficulty",
        "format",
        response="judgement",
    )
