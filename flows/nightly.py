"""The night: some rounds of a recipe, one after the other, each from the last champion.

A night that was cut short goes on where it was: the open round under the recipe it began with, then
the rounds that the night still lacks. The log alone says what that is. `night.fn` is the same night without
Prefect.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from prefect import flow, get_client
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from flows.opening.adapters import began_from, whole_model
from flows.opening.asking import refuse_shown
from flows.opening.opening import (
    Opening,
    check_asked_anew,
    check_opening,
    check_recipe,
    open_loop,
    refuse_other_opening,
)
from flows.opening.settled import settled
from flows.pages.status import status, table_rows
from flows.recipes.rooms import AnyRecipe, parse_recipe, room_of
from flows.round.progress import reporter
from flows.round.round import Closed, Round, hold
from flows.steps.task import in_flow_run
from flows.writers.engines import check_engines, closing_servers
from flows.writers.guests import with_models_here
from schemas.errors import BadInput, NightStopped
from schemas.units import check_loop
from tasks.models.dates import use_date
from tasks.models.recorded import check_there, check_weights
from tasks.train.fits import check_fits
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import LoopState, fold, locked
from warehouse.models.location import agrees, search_in
from warehouse.query import read
from warehouse.seal import seal_rounds, unsealed

_CHECKED: dict[tuple[str | None, ...], Opening | None] = {}
"""What was checked for the night that follows in this process, by its values."""


@dataclass(frozen=True)
class Plan:
    """Which rounds a run will do: from `first` up to, not including, `end`, of the night from `begin`."""

    begin: int
    first: int
    end: int
    resumed: bool


def plan(state: LoopState, rounds: int | None) -> Plan:
    """What is left of an unfinished night, unless another number of rounds is asked for; else a new one.

    `rounds` None means 1 for a new night.
    """
    first = state.next_round
    if state.unfinished and (rounds is None or rounds == state.night_ends - state.night_begins):
        return Plan(state.night_begins, first, max(state.night_ends, first + 1), True)
    return Plan(first, first, first + (rounds or 1), state.unfinished)


@flow(name="night", flow_run_name="{loop}", log_prints=False, persist_result=False)
def night(
    recipe: AnyRecipe,
    loop: str = "night",
    rounds: int | None = None,
    lake: str = "lake",
    model: str | None = None,
) -> list[dict[str, Any]]:
    """Run improvement rounds on a loop and return its state, one value a round.

    `rounds` None finishes an interrupted night, or runs one round. `model` None is the loop's own base,
    or the tutor for a new loop. Where a round stops the night, a flow run fails as NightStopped, so that
    Prefect shows it and automations fire; outside of one the state is returned.
    """
    _tag(loop, recipe)
    opening = _checked(recipe, loop, lake, model)
    recipe = settled(recipe)
    opened = Lake.create(lake)
    one_round = run_round if in_flow_run() else run_round.fn
    with locked(opened, loop), closing_servers():
        if opening is not None:
            open_loop(Log(opened), loop, opening)
        state = fold(opened, loop)
        assert state is not None
        todo = plan(state, rounds)
        if todo.resumed:
            reporter().say(f"loop {loop}: going on with the night that was cut short at round {todo.first}")
        seal(Log(opened), loop)  # what a run that was killed, or an older Ratchet, left open
        for number in range(todo.first, todo.end):
            closed = one_round(opened.where, loop, number, todo.begin, todo.end, recipe)
            if closed.verdict == "stopped":
                if in_flow_run():
                    raise NightStopped(f"round {number} stopped the night: {closed.reason}")
                break
    return status(opened, loop)


@flow(name="round", flow_run_name="{loop}-round-{number}", log_prints=False, persist_result=False)
def run_round(
    lake: str, loop: str, number: int, night_begins: int, night_ends: int, recipe: AnyRecipe
) -> Closed:
    """One round of a loop, from its place in the log to its verdict; an open round keeps its recipe."""
    _tag(loop, recipe)
    log = Log(Lake(lake))
    state = fold(log.lake, loop)
    if state is None or state.next_round != number:
        raise BadInput(f"loop {loop} is not at round {number}: run `ratchet run` to go on where it is")
    used = _recipe_of(state, recipe)
    use_date(state.opened)
    check_weights(state.champion)
    if used.start_from == "base":
        check_weights(state.base)
    round_ = Round(log, loop, number, used, state.base, state.champion)
    reporter().say(
        f"round {number} of loop {loop} ({used.recipe}), the last of this night is {night_ends - 1}"
    )
    with closing_servers():
        closed = hold(round_, night_begins, night_ends, room_of(used).improve)
    seal(log, loop)
    reporter().say(f"  round {number} {closed.verdict}: {closed.reason}")
    _artifacts(log.lake, loop, closed)
    return closed


def seal(log: Log, loop: str) -> None:
    """Seal the loop's closed rounds: compacted, hashed, and closed to appends for ever."""
    if not unsealed(log.lake, loop):
        return
    start = time.monotonic()
    show = reporter().begin("seal", None, "tables")
    seals = seal_rounds(log, loop, show)
    files = sum(len(table.files) for one in seals for table in one.tables.values())
    reporter().end("seal", f"{files:,} files", time.monotonic() - start)


def check(
    recipe: AnyRecipe, loop: str, lake: str, model: str | None, *, keep: bool = False
) -> Opening | None:
    """Refuse what cannot run before anything is written; returns what a new loop opens with.

    With `keep` the next night of the same values in this process takes that, and does not check again.
    """
    check_loop(loop)
    whole = settled(recipe)
    opening = _checked_opening(whole, loop, lake, Path(model) if model else None)
    check_engines(whole)
    if keep:
        _CHECKED[_values(recipe, loop, lake, model)] = opening
    return opening


def _checked(recipe: AnyRecipe, loop: str, lake: str, model: str | None) -> Opening | None:
    """What a command has just checked and kept for this night, else what is checked now."""
    values = _values(recipe, loop, lake, model)
    return _CHECKED.pop(values) if values in _CHECKED else check(recipe, loop, lake, model)


def _values(recipe: AnyRecipe, *others: str | None) -> tuple[str | None, ...]:
    """A night's values, to be told apart by."""
    return (recipe.model_dump_json(), *others)


def _checked_opening(recipe: AnyRecipe, loop: str, lake: str, folder: Path | None) -> Opening | None:
    there = Lake(lake) if Lake.check(lake) else None
    state = None if there is None else fold(there, loop)
    if there is None or state is None:
        opening = _opening(recipe, folder or room_of(recipe).base(recipe))
        if there is not None:
            refuse_other_opening(there, loop, opening)
        return opening
    if folder is not None and began_from(there, loop, folder):
        folder = None  # the lake has what it was, or was merged into
    if folder is not None and agrees(folder, state.base.content_hash, state.base.files_hash):
        search_in(folder)  # the base itself, wherever it was read from
        state = fold(there, loop) or state
    elif folder is not None:
        if not folder.is_dir():
            raise BadInput(f"no model folder at {folder}: loop {loop} has its base, give no --model")
        raise BadInput(f"loop {loop} began from {state.base.folder}, not {folder}: use another --loop")
    check_there(state.base)
    before = state.last_recipe
    if before is None:  # opened, and killed before its first round
        refuse_other_opening(there, loop, _opening(recipe, folder or state.base.folder))
    elif _sources(before) != _sources(recipe.model_dump(mode="json")):
        raise BadInput(f"loop {loop} draws its prompts from {_sources(before)[0]}: use another --loop")
    elif before["training"] != recipe.model_dump(mode="json")["training"]:
        check_fits(state.base.folder, recipe.training)
    here = with_models_here(recipe, there, loop)
    check_recipe(here, state.base.folder)
    if before is not None and _asking(before) != _asking(recipe.model_dump(mode="json")):
        check_asked_anew(there, loop, recipe, state.base.folder)
    if recipe.prompts.asking.shots:
        fixed = read(there, "prompts", {"loop": loop, "round": 0})
        refuse_shown(recipe, fixed.filter(pl.col("split") == "eval"))
    room_of(recipe).check(here, state.base.folder)
    room_of(recipe).continues(recipe, there, loop)
    return None


def _opening(recipe: AnyRecipe, base: Path) -> Opening:
    """What a new loop of the recipe opens with, checked."""
    use_date(None)
    room = room_of(recipe)
    with whole_model(base) as model:
        room.check(recipe, model.folder)
        opening = room.opens(recipe, check_opening(model.folder, recipe, room.pairs))
    if model.merged is None:
        return opening
    return replace(opening, model_files="copy", remarks=(model.merged, *opening.remarks))


def _sources(values: dict[str, Any]) -> tuple[Any, ...]:
    """The values that fix a loop's prompts; they may not change, or rounds would not compare."""
    prompts = values["prompts"]
    source = prompts["path"] or f"the tutor's world ({prompts.get('eval_family', 'held-out')})"
    if prompts["path"] is None and (family := prompts.get("family", "practice")) != "practice":
        source += f", {family}"
    return source, prompts["eval_path"], prompts["eval_count"], prompts.get("columns"), values["seed"]


def _asking(values: dict[str, Any]) -> tuple[Any, ...]:
    """The values that decide how prompts are asked, how long they and answers are, and in which type."""
    around = ("system", "template", "few_shots", "few_shots_as", "chat_template_kwargs", "end_of_turn")
    longest = [values[part]["max_tokens"] for part in ("sampling", "evaluation")]
    rendering = (values["prompts"].get(name) for name in around)
    return *rendering, max(longest), values.get("engine", {}).get("dtype")


def _recipe_of(state: LoopState, recipe: AnyRecipe) -> AnyRecipe:
    """The recipe a round runs under: an open round's own, whatever is asked for now."""
    if state.open_recipe is None:
        return recipe
    began_with = parse_recipe(state.open_recipe, origin="the open round's recipe")
    if began_with.hash != state.open_hash:  # its units would be done again under other keys
        raise BadInput(
            f"round {state.next_round} was begun by another version of Ratchet, with other recipe values: "
            "finish it with that version"
        )
    began_with = began_with.with_effort_of(recipe)
    if began_with != recipe:
        reporter().say(
            f"  round {state.next_round} goes on under the recipe it began with ({began_with.hash})"
        )
    return began_with


def _tag(loop: str, recipe: AnyRecipe) -> None:
    """Tag the flow run with its loop and recipe, so that a person finds it in Prefect's UI."""
    run_id = flow_run.get_id()
    if run_id is not None:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run_id), tags=["ratchet", f"loop:{loop}", f"recipe:{recipe.recipe}"])


def _artifacts(lake: Lake, loop: str, closed: Closed) -> None:
    """A table and a summary for Prefect's UI; a round does not fail for want of them."""
    if flow_run.get_id() is None:
        return
    rows = table_rows(status(lake, loop))
    try:
        create_table_artifact(key=f"{loop}-rounds", table=rows, description=f"Rounds of loop {loop}")
        create_markdown_artifact(
            key=f"{loop}-round-{closed.number}",
            markdown=f"# Round {closed.number}: {closed.verdict}\n\n{closed.reason}\n\n"
            f"Champion: `{closed.champion}`",
        )
    except Exception as error:
        logging.getLogger("ratchet").warning("no artifact for round %s: %s", closed.number, error)
