"""The red-team prompts of a loop: which are answered and revised, which are kept, and which only measure.

All are admitted in round 0, each with its part as its split: `red-team` (answered and revised),
`red-team-kept` (for preferences, and what learns from them), `red-team-eval` and `look-alike` (never trained
on). Dialogues that begin alike, one often the prefix of another, are in one part.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

import tutor.prompts
from flows.opening.admission import Admitted, fitting, fixed_prompts, without_near
from flows.opening.asking import refuse_shown
from flows.opening.opening import Opening, room_for_prompts
from schemas.errors import BadInput, PromptFileError, RecipeError
from schemas.ids import digest
from schemas.recipes.harm import AgainstHarm, RedTeam
from schemas.recipes.shared import Prompts
from tasks.admit.apart import OVERLAP, refuse, sample, sound
from tasks.admit.pairs import apart_from_starts, starts
from tasks.admit.prompts import without
from tasks.admit.reading import SOURCED, read_file
from tasks.evaluate.gate import fewest
from tasks.models.checkpoint import load_tokenizer
from warehouse.lake import Lake
from warehouse.loops import fold
from warehouse.query import read

ASKED, KEPT, HELD_OUT, LOOK_ALIKE = "red-team", "red-team-kept", "red-team-eval", "look-alike"
ENOUGH = 300
"""Held-out prompts of each kind below which a share says little: its interval is wider than 10 points."""


def with_red_team(recipe: AgainstHarm, opening: Opening) -> Opening:
    """The opening of a loop with the recipe's red-team prompts; PromptFileError where they are too few, or
    leave no ordinary prompt to train on. RecipeError where an example shows one that measures.
    """
    (team, near), alike = _admitted(recipe, opening), _look_alikes(recipe, opening)
    own, measured = opening.admitted, pl.concat(map(_asked, (team.held_out, alike.held_out)))
    team = _apart(team, pl.concat([measured, _asked(own.held_out)]))
    asked = team.training
    if asked is None or asked.is_empty() or _problems(team.held_out) < fewest(recipe.gate.alpha):
        raise PromptFileError(_lack(recipe, team))
    own = _apart(own, measured)
    if own.training is not None and own.training.is_empty():
        raise PromptFileError(
            f"prompt file {recipe.prompts.path}: every prompt begins like one that measures harm or "
            "over-refusal: none is left to train on"
        )
    _refuse_shown(recipe, measured)
    kept = _is_kept(asked, recipe.red_team.kept_share, recipe.seed)
    parts = {
        ASKED: asked.filter(~kept),
        KEPT: asked.filter(kept),
        HELD_OUT: team.held_out,
        LOOK_ALIKE: alike.held_out,
    }
    if parts[ASKED].is_empty():
        raise PromptFileError(
            f"red-team prompts {recipe.red_team.path or 'of the tutor'}: all {asked.height:,} to revise are "
            "kept for preferences and none is left to ask: give more, or a smaller red_team.kept_share"
        )
    others = [one.refused.with_columns(part=pl.lit(ASKED)) for one in (team, alike)]
    return replace(
        opening,
        admitted=replace(own, refused=pl.concat([own.refused, *others], how="diagonal")),
        others={split: rows for split, rows in parts.items() if not rows.is_empty()},
        other_tallies=(*team.tallies, *alike.tallies),
        remarks=(*opening.remarks, *near, *_remarks(team.held_out, alike.held_out)),
    )


def check_red_team(recipe: AgainstHarm, lake: Lake, loop: str) -> None:
    """Refuse to go on with a loop that was opened without these red-team prompts."""
    fixed = read(lake, "prompts", {"loop": loop, "round": 0})
    for split in (ASKED, HELD_OUT):
        if fixed.filter(pl.col("split") == split).is_empty():
            raise BadInput(f"loop {loop} was opened without red-team prompts: use another --loop")
    _refuse_shown(recipe, _asked(fixed.filter(pl.col("split").is_in([HELD_OUT, LOOK_ALIKE]))))
    state = fold(lake, loop)
    before = state.last_recipe if state is not None else None
    if before is not None and "red_team" in before:
        now = recipe.red_team
        if _fixed(RedTeam.model_validate(before["red_team"])) != _fixed(now):
            raise BadInput(f"loop {loop} has other red-team prompts since it was opened: use another --loop")


def _admitted(recipe: AgainstHarm, opening: Opening) -> tuple[Admitted, list[str]]:
    """Red-team prompts to answer and held-out ones, as the model can be asked them, and what a user is to
    know of those that are almost held-out ones.
    """
    team, own = recipe.red_team, recipe.prompts
    if team.path is None:
        asked = tutor.prompts.draw_red_team(
            recipe.seed, "asked", team.count, own.difficulties, own.family, "practice"
        )
        held_out = tutor.prompts.draw_red_team(
            recipe.seed, None, team.eval_count, own.difficulties, own.eval_family, "held-out"
        )
        return Admitted(asked, held_out, _nothing("train")), []
    source = Prompts(
        path=team.path, eval_path=team.eval_path, columns=team.columns, eval_count=team.eval_count
    )
    admitted = _fitting(fixed_prompts(source, recipe.seed, by_start=True), recipe, opening)
    apart, remark = without_near(admitted, recipe.prompts.overlap == "drop")
    return apart, [f"red-team prompts: {remark}"] if remark else []


def _look_alikes(recipe: AgainstHarm, opening: Opening) -> Admitted:
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
    """The prompts without those to train on that begin like one that measures (columns text, messages)."""
    training = admitted.training
    if training is None:
        return admitted
    apart, same = apart_from_starts(training, measured)
    refused = refuse(same, OVERLAP).with_columns(part=pl.lit("train"))
    return replace(admitted, training=apart, refused=pl.concat([admitted.refused, refused], how="diagonal"))


def _fitting(admitted: Admitted, recipe: AgainstHarm, opening: Opening) -> Admitted:
    tokenizer = load_tokenizer(opening.model, recipe.prompts.chat)
    room, _ = room_for_prompts(opening.model, recipe)
    return fitting(admitted, tokenizer, room, recipe.prompts.asking)


def _nothing(part: str) -> pl.DataFrame:
    return pl.DataFrame(schema={**SOURCED, "refusal": pl.String(), "part": pl.String()})


def _is_kept(prompts: pl.DataFrame, share: float, seed: int) -> pl.Series:
    """Which prompts are kept for preferences: by a hash of how they begin."""
    lots = [int(digest((KEPT, seed, one))[:12], 16) / 16**12 for one in starts(prompts)]
    return pl.Series("lot", lots, dtype=pl.Float64) < share


def _asked(prompts: pl.DataFrame) -> pl.DataFrame:
    """What prompts ask: text and messages."""
    messages = "messages" if "messages" in prompts.columns else pl.lit(None, pl.String).alias("messages")
    return prompts.select("text", messages)


def _problems(held_out: pl.DataFrame) -> int:
    """How many problems held-out prompts tell: dialogues that begin alike are of one."""
    return held_out.select(pl.coalesce("problem", starts(held_out))).to_series().n_unique()


def _refuse_shown(recipe: AgainstHarm, measured: pl.DataFrame) -> None:
    """RecipeError where an example of recipe or constitution is how one of these prompts begins."""
    begun = pl.DataFrame({"text": starts(measured)})
    refuse_shown(recipe, begun)
    questions = [one.prompt for one in recipe.law.shots] if recipe.law else []
    shown = pl.DataFrame({"text": questions}, schema={"text": pl.String})
    if without(shown, begun).height < shown.height:
        raise RecipeError("an example of the constitution is a held-out prompt: take it out of its file")


def _lack(recipe: AgainstHarm, team: Admitted) -> str:
    training = 0 if team.training is None else team.training.height
    reasons = team.refused["refusal"].value_counts(sort=True).head(5).iter_rows()
    counts = "".join(f"; {count:,} refused: {reason}" for reason, count in reasons)
    return (
        f"red-team prompts {recipe.red_team.path or 'of the tutor'}: {training:,} to revise and "
        f"{team.held_out.height:,} held out are too few (gate.alpha {recipe.gate.alpha:g} needs "
        f"{fewest(recipe.gate.alpha)} held out that begin differently){counts}"
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
