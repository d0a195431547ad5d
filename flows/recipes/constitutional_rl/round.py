"""The constitutional RL phase, one round (Bai et al. 2022, arXiv 2212.08073, section 4)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.opening.opening import Opening
from flows.opening.red_team import HELD_OUT, KEPT, check_red_team, with_red_team
from flows.recipes.room import Room, mannered_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.compare import compare_answers, compared_by, feedback_share, held_out_pairs
from flows.steps.evaluate import held_out_prompts
from flows.steps.harm import score_texts, weigh_harm
from flows.steps.iterate import iterate
from flows.steps.judge_harm import check_harm
from flows.steps.measure_pairs import measure
from flows.steps.pair import drawn_pairs, freeze_pairs
from flows.steps.red_team import prompts_in, red_team
from flows.steps.train import train
from schemas.errors import BadInput, PromptFileError
from schemas.recipes.constitutional_rl import ConstitutionalRl
from tasks.models.checkpoint import check_readable
from warehouse.lake import Lake
from warehouse.loops import Checkpoint
from warehouse.query import read

NO_PAIR = "no pair that a principle tells apart: nothing to train a preference model on"
NO_HELD_OUT = "no held-out pair that a principle tells apart: nothing to measure a preference model on"


def improve(round_: Round[ConstitutionalRl]) -> Outcome:
    """Compare the policy's answers by the constitution, learn the preference, climb it by PPO; weigh harm."""
    provoking, ordinary = red_team(round_, KEPT), admit(round_)
    snapshot = preferences(round_, provoking, ordinary)
    held_out = preferences_held_out(round_)
    if snapshot is None or held_out.is_empty():
        audit(round_)
        return "held", NO_PAIR if snapshot is None else NO_HELD_OUT, None
    model, measured = preference_model(round_, snapshot, held_out)
    prompts = pl.concat([provoking, ordinary], how="diagonal")
    policy, stopped = iterate(round_, prompts, model, watch=score_texts)
    if policy is None:
        audit(round_)
        return "held", f"{stopped}; {measured}", None
    verdict, why, challenger = weigh_harm(round_, policy)
    return verdict, "; ".join(filter(None, (why, stopped, measured))), challenger


def preferences(
    round_: Round[ConstitutionalRl], provoking: pl.DataFrame, ordinary: pl.DataFrame
) -> str | None:
    """The snapshot of pairs, compared by principles, to all red-team prompts and a share of ordinary ones."""
    phase = round_.in_phase(1, "preferences")
    asked = pl.concat([provoking, feedback_share(round_, ordinary)], how="diagonal")
    compare_answers(phase, asked, round_.start)
    pairs = drawn_pairs(phase, asked, KEPT, "train")
    return freeze_pairs(phase, pairs, round_.recipe.preference_model.training)


def preferences_held_out(round_: Round[ConstitutionalRl]) -> pl.DataFrame:
    """Pairs to the held-out prompts of both kinds, which only measure preference models."""
    ordinary = feedback_share(round_, held_out_prompts(round_))
    asked = pl.concat([prompts_in(round_, HELD_OUT), ordinary])
    return held_out_pairs(round_, asked, round_.start, HELD_OUT, "eval")


def preference_model(
    round_: Round[ConstitutionalRl], snapshot: str, held_out: pl.DataFrame
) -> tuple[Checkpoint, str]:
    """The preference model learned from a snapshot, and how it does on the held-out pairs, in words."""
    phase, hyper = round_.in_phase(1, "preferences"), round_.recipe.preference_model.training
    model = train(phase, snapshot, "reward", round_.start, hyper)
    right = measure(round_, model, held_out, "preference model")["right"]
    return model, f"its preference model tells {right.sum()} of {right.len()} held-out pairs right"


def check(recipe: ConstitutionalRl, base: Path) -> None:
    """Refuse a judge of harm, a comparing model or principles that cannot be used."""
    check_harm(recipe, base)
    if recipe.feedback.model is not None:
        check_readable(Path(recipe.feedback.model))
    compared_by(recipe, base)


def opens(recipe: ConstitutionalRl, opening: Opening) -> Opening:
    """The opening with red-team prompts; PromptFileError where none of them is kept for preferences."""
    whole = with_red_team(recipe, opening)
    if KEPT not in whole.others:
        raise PromptFileError(
            f"red-team prompts {recipe.red_team.path or 'of the tutor'}: none is kept for preferences: give "
            "more, or a larger red_team.kept_share"
        )
    return whole


def continues(recipe: ConstitutionalRl, lake: Lake, loop: str) -> None:
    """Refuse to go on with a loop that was opened without red-team prompts to prefer answers to."""
    check_red_team(recipe, lake, loop)
    if read(lake, "prompts", {"loop": loop, "round": 0}).filter(pl.col("split") == KEPT).is_empty():
        raise BadInput(f"loop {loop} was opened without prompts kept for preferences: use another --loop")


CONSTITUTIONAL_RL = Room(
    ConstitutionalRl, improve, check=check, opens=opens, continues=continues, base=mannered_tutor
)
