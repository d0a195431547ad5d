"""A recipe of the conformance suite's small size, and round 0 of a new loop of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.opening.settled import settled
from flows.recipes.rooms import parse_recipe, room_of
from flows.round.round import Round, begin
from schemas.recipes.parsing import load_recipe, with_value
from tests.conformance.nights import NIGHTS
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold


def small(name: str, *settings: str) -> Any:
    """The tutor's recipe at the size of its small night, with some values changed as --set does."""
    values = load_recipe(tutor.RECIPES / f"{name}.yaml")
    for setting in (*NIGHTS[name].settings, *settings):
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    return settled(parse_recipe(values))


def begun(folder: Path, base: Path, own: Any, loop: str = "small") -> Round[Any]:
    """Round 0 of a new loop from this base, in the lake there or a new one, begun."""
    log = Log(Lake(folder) if Lake.check(str(folder)) else Lake.create(folder))
    open_loop(log, loop, room_of(own).opens(own, check_opening(base, own)))
    state = fold(log.lake, loop)
    assert state is not None
    round_ = Round(log, loop, 0, own, state.base, state.champion)
    begin(round_, 0, 1)
    return round_
