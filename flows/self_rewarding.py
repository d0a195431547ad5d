"""Self-rewarding, one round (Yuan et al. 2024, arXiv 2401.10020): a model learns by its own preferences."""

from __future__ import annotations

import polars as pl

from flows.demonstrations import all_seeds, kept_judging
from flows.invention import invent
from flows.monitoring import audit
from flows.promotion import weigh
from flows.rewarding import choose_pairs, reward
from flows.round import Round, Verdict
from flows.steps import admit, freeze_examples, generate
from flows.training import train
from schemas.self_rewarding import SelfRewarding
from tasks.admit import draw
from warehouse.loops import Checkpoint
from warehouse.query import read

NO_PAIR = "no prompt had a best and a worst answer far enough apart: nothing to train on"
NO_SEED = "no demonstration of the seed sets fits the model and seeds.sft_training.max_tokens"


def improve(round_: Round[SelfRewarding]) -> tuple[Verdict, str, Checkpoint | None]:
    """Ask, answer, judge, pair, learn the preference, measure, and promote what is better."""
    if round_.recipe.seeds.sft_start and not has_started(round_):
        return sft_start(round_)
    prompts = asked(round_, admit(round_))
    candidates = generate(round_, prompts, [round_.champion])
    rewards = reward(round_, prompts, candidates)
    preferences = choose_pairs(round_, prompts, candidates, rewards)
    kept = kept_judging(round_, preferences.height)
    snapshot = freeze_examples(round_, kept, "dpo", preferences["unit"])
    if snapshot is None:
        audit(round_)
        return "held", NO_PAIR, None
    return weigh(round_, train(round_, snapshot, "dpo"))


def asked(round_: Round[SelfRewarding], given: pl.DataFrame) -> pl.DataFrame:
    """The prompts of the round: those given, a share of them replaced by what the model invents from them."""
    wanted = round(round_.recipe.invention.share * given.height)
    if not wanted:
        return given
    invented = invent(round_, wanted, round_.recipe.invention)
    left = draw(given, given.height - invented.height, round_.recipe.seed, round_.number)
    return pl.concat([left, invented.select(left.columns).cast(left.schema)])


def has_started(round_: Round[SelfRewarding]) -> bool:
    """Whether a round before this one has fine-tuned on the seed sets."""
    trained = read(round_.lake, "trainings", {"loop": round_.loop})
    before = (pl.col("round") < round_.number) & (pl.col("state") == "finished")
    return not trained.filter(before & (pl.col("objective") == "sft")).is_empty()


def sft_start(round_: Round[SelfRewarding]) -> tuple[Verdict, str, Checkpoint | None]:
    """The round before the first: the base learns to answer and to judge from the seed sets."""
    snapshot = freeze_examples(round_, all_seeds(round_))
    if snapshot is None:
        return "stopped", NO_SEED, None
    return weigh(round_, train(round_, snapshot, hyper=round_.recipe.seeds.sft_training), must_gain=False)
