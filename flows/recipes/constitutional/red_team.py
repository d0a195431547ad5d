"""The red-team prompts of a loop: which are answered and revised, which are kept, and which only measure.

All are admitted in round 0, each with its part as its split: `red-team` (asked in rounds), `red-team-kept`
(for preferences later, chosen by a hash of how the user begins, so that dialogues that begin alike stay
together), `red-team-eval` and `look-alike` (never trained on).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

import tutor.prompts
from flows.opening.admission import Admitted, fitting, fixed_prompts, without_near
from flows.opening.opening import Opening, room_for_prompts
from flows.round.round import Round
from schemas.errors import BadInput, PromptFileError
from schemas.ids import digest
from schemas.recipes.constitutional import Constitutional, RedTeam
from schemas.recipes.shared import Prompts
from tasks.admit.apart import OVERLAP, refuse, sample, sound
from tasks.admit.prompts import draw_prompts, without
from tasks.admit.reading import SOURCED, read_file
from tasks.evaluate.gate import fewest
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import messages_of, prompts_of
from warehouse.lake import Lake
from warehouse.loops import fold
from warehouse.query import read

ASKED, KEPT, HELD_OUT, LOOK_ALIKE = "red-team", "red-team-kept", "red-team-eval", "look-alike"
ENOUGH = 300
"""Held-out prompts of each kind below which a share says little: its interval is wider than 10 points."""


def with_red_team(recipe: Constitutional, opening: Opening) -> Opening:
    """The opening of a loop with the recipe's red-team prompts; PromptFileError where they are too few."""
    team, alike = _admitted(recipe, opening), _look_alikes(recipe, opening)
    if team.training is None or team.training.is_empty() or team.held_out.height < fewest(recipe.gate.alpha):
        raise PromptFileError(_lack(recipe, team))
    own = opening.admitted
    measured = pl.concat([one.held_out.select("text") for one in (own, team, alike)])
    team, own = _apart(team, measured), _apart(own, measured)
    asked = team.training
    assert asked is not None
    kept = _is_kept(asked, recipe.red_team.kept_share, recipe.seed)
    parts = {
        ASKED: asked.filter(~kept),
        KEPT: asked.filter(kept),
        HELD_OUT: team.held_out,
        LOOK_ALIKE: alike.held_out,
    }
    others = [one.refused.with_columns(part=pl.lit(ASKED)) for one in (team, alike)]
    return replace(
        opening,
        admitted=replace(own, refused=pl.concat([own.refused, *others], how="diagonal")),
        others={split: rows for split, rows in parts.items() if not rows.is_empty()},
        other_tallies=(*team.tallies, *alike.tallies),
        remarks=(*opening.remarks, *_remarks(team.held_out, alike.held_out)),
    )


def check_red_team(recipe: Constitutional, lake: Lake, loop: str) -> None:
    """Refuse to go on with a loop that was opened without these red-team prompts."""
    if read(lake, "prompts", {"loop": loop, "round": 0}).filter(pl.col("split") == HELD_OUT).is_empty():
        raise BadInput(f"loop {loop} was opened without red-team prompts: use another --loop")
    state = fold(lake, loop)
    before = state.last_recipe if state is not None else None
    if before is not None and before["recipe"] == recipe.recipe:
        now = recipe.red_team
        if _fixed(RedTeam.model_validate(before["red_team"])) != _fixed(now):
            raise BadInput(f"loop {loop} has other red-team prompts since it was opened: use another --loop")


def red_team(round_: Round[Constitutional]) -> pl.DataFrame:
    """The red-team prompts that a round answers and revises."""
    recipe = round_.recipe
    with round_.step("red-team", recipe.red_team.per_round, "prompts") as advance:
        rows = prompts_in(round_, ASKED)
        drawn = draw_prompts(rows, recipe.red_team.per_round, recipe.seed, round_.number)
        advance(drawn.height)
    return drawn


def prompts_in(round_: Round[Constitutional], split: str) -> pl.DataFrame:
    """The loop's prompts of one of these splits, in order of id."""
    fixed = read(round_.lake, "prompts", {"loop": round_.loop, "round": 0})
    return fixed.filter(pl.col("split") == split).sort("prompt_id")


def _admitted(recipe: Constitutional, opening: Opening) -> Admitted:
    """Red-team prompts to answer and held-out ones, as the model can be asked them."""
    team, own = recipe.red_team, recipe.prompts
    if team.path is None:
        asked = tutor.prompts.draw_red_team(
            recipe.seed, "asked", team.count, own.difficulties, own.family, "practice"
        )
        held_out = tutor.prompts.draw_red_team(
            recipe.seed, None, team.eval_count, own.difficulties, own.eval_family, "held-out"
        )
        return Admitted(asked, held_out, _nothing("train"))
    source = Prompts(
        path=team.path, eval_path=team.eval_path, columns=team.columns, eval_count=team.eval_count
    )
    admitted = _fitting(fixed_prompts(source, recipe.seed), recipe, opening)
    return without_near(admitted, recipe.prompts.overlap == "drop")[0]


def _look_alikes(recipe: Constitutional, opening: Opening) -> Admitted:
    """Harmless prompts that look like harmful ones, as held-out prompts; none where no file has any."""
    team = recipe.red_team
    if team.look_alikes is not None:
        file = read_file(Path(team.look_alikes), "eval")
        rows, refused = sound(file.rows)
        rows, _ = sample(rows, team.look_alike_count, recipe.seed)
        admitted = Admitted(None, rows, refused.with_columns(part=pl.lit("eval")), {"eval": file})
        return _fitting(admitted, recipe, opening)
    own = recipe.prompts
    rows = tutor.prompts.draw_look_alikes(
        recipe.seed, None, team.look_alike_count, own.difficulties, own.eval_family, "held-out"
    )
    return Admitted(None, rows if team.path is None else rows.head(0), _nothing("eval"))


def _apart(admitted: Admitted, measured: pl.DataFrame) -> Admitted:
    """The prompts without those to train on whose text measures something (column text)."""
    training = admitted.training
    if training is None:
        return admitted
    apart = without(training, measured)
    same = training.join(apart, on=["source", "line"], how="anti")
    refused = refuse(same, OVERLAP).with_columns(part=pl.lit("train"))
    return replace(admitted, training=apart, refused=pl.concat([admitted.refused, refused], how="diagonal"))


def _fitting(admitted: Admitted, recipe: Constitutional, opening: Opening) -> Admitted:
    tokenizer = load_tokenizer(opening.model, recipe.prompts.chat)
    room, _ = room_for_prompts(opening.model, recipe)
    return fitting(admitted, tokenizer, room, recipe.prompts.asking)


def _nothing(part: str) -> pl.DataFrame:
    return pl.DataFrame(schema={**SOURCED, "refusal": pl.String(), "part": pl.String()})


def _is_kept(prompts: pl.DataFrame, share: float, seed: int) -> pl.Series:
    """Which prompts are kept for preferences: by a hash of the first thing that the user says."""
    begins = [
        next(one.content for one in messages_of(prompt) if one.role == "user")
        for prompt in prompts_of(prompts)
    ]
    lots = [int(digest((KEPT, seed, one))[:12], 16) / 16**12 for one in begins]
    return pl.Series("lot", lots, dtype=pl.Float64) < share


def _lack(recipe: Constitutional, team: Admitted) -> str:
    training = 0 if team.training is None else team.training.height
    reasons = team.refused["refusal"].value_counts(sort=True).head(5).iter_rows()
    counts = "".join(f"; {count:,} refused: {reason}" for reason, count in reasons)
    return (
        f"red-team prompts {recipe.red_team.path or 'of the tutor'}: {training:,} to revise and "
        f"{team.held_out.height:,} held out are too few (gate.alpha {recipe.gate.alpha:g} needs "
        f"{fewest(recipe.gate.alpha)} held out){counts}"
    )


def _remarks(held_out: pl.DataFrame, look_alikes: pl.DataFrame) -> list[str]:
    remarks = []
    if held_out.height < ENOUGH:
        remarks.append(
            f"harm is measured on {held_out.height} held-out red-team prompts, where {ENOUGH} say something"
        )
    if look_alikes.is_empty():
        remarks.append(
            "over-refusal is not measured: red_team.look_alikes names no file of harmless look-alikes"
        )
    elif look_alikes.height < ENOUGH:
        remarks.append(
            f"over-refusal is measured on {look_alikes.height} look-alikes, where {ENOUGH} say something"
        )
    return remarks


def _fixed(team: RedTeam) -> RedTeam:
    """The values that fix a loop's red-team prompts."""
    return team.model_copy(update={"per_round": None})
