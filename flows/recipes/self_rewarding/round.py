"""Self-rewarding, one round (Yuan et al. 2024, arXiv 2401.10020): a model learns by its own preferences."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import tutor
from flows.recipes.room import Room, on_varied_stories, reading_tutor
from flows.recipes.self_rewarding.demonstrations import all_demonstrations, judging_demonstrations
from flows.recipes.self_rewarding.rewards import choose_pairs, reward, reward_rubric
from flows.recipes.self_rewarding.seeds import check_demonstrations, with_demonstrations
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.freeze import freeze_examples
from flows.steps.generate import generate
from flows.steps.instructions import with_invented
from flows.steps.promote import weigh
from flows.steps.train import train
from flows.writers.inventors import check_invention
from schemas.recipes.self_rewarding import SelfRewarding
from tasks.models.checkpoint import check_readable
from tasks.train.fits import check_fits
from warehouse.query import read

NO_PAIR = "no prompt had a best and a worst answer far enough apart: nothing to train on"
NO_SEED = "no demonstration of the seed sets fits the model and seeds.sft_training.max_tokens"


def improve(round_: Round[SelfRewarding]) -> Outcome:
    """Ask, answer, judge, pair, learn the preference, measure, and promote what is better."""
    if round_.recipe.seeds.sft_start and not has_started(round_):
        return sft_start(round_)
    prompts = with_invented(round_, admit(round_))
    candidates = generate(round_, prompts, [round_.champion])
    rewards = reward(round_, prompts, candidates)
    preferences = choose_pairs(round_, prompts, candidates, rewards)
    demonstrations = judging_demonstrations(round_, preferences.height)
    snapshot = freeze_examples(round_, demonstrations, "dpo", preferences["unit"])
    if snapshot is None:
        audit(round_)
        return "held", NO_PAIR, None
    return weigh(round_, train(round_, snapshot, "dpo"))


def has_started(round_: Round[SelfRewarding]) -> bool:
    """Whether a round before this one has fine-tuned on the seed sets."""
    trainings = read(round_.lake, "trainings", {"loop": round_.loop})
    before = (pl.col("round") < round_.number) & (pl.col("state") == "finished")
    return not trainings.filter(before & (pl.col("objective") == "sft")).is_empty()


def sft_start(round_: Round[SelfRewarding]) -> Outcome:
    """The round before the first: the base learns to answer and to judge from the seed sets."""
    snapshot = freeze_examples(round_, all_demonstrations(round_))
    if snapshot is None:
        return "stopped", NO_SEED, None
    return weigh(round_, train(round_, snapshot, hyper=round_.recipe.seeds.sft_training), must_gain=False)


def check(recipe: SelfRewarding, base: Path) -> None:
    """Refuse judges, rubrics, inventors and a first fine-tuning that cannot be used."""
    if recipe.rewarding.model is not None:
        check_readable(Path(recipe.rewarding.model))
    reward_rubric(recipe, base)
    if recipe.seeds.sft_start:
        check_fits(base, recipe.seeds.sft_training)
    check_invention(recipe.invention, base)


def base(recipe: SelfRewarding) -> Path:
    """The tutor that can answer and judge such stories already, unless round 0 is to teach it that."""
    if recipe.seeds.sft_start:
        return reading_tutor(recipe)
    return tutor.SEEDED_READER if on_varied_stories(recipe) else tutor.SEEDED


SELF_REWARDING = Room(
    SelfRewarding, improve, check=check, opens=with_demonstrations, continues=check_demonstrations, base=base
)
