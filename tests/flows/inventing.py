"""Rounds on the tutor that only invent prompts: a program for a process of its own that may be killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.recipes.rooms import parse_recipe
from flows.round.round import Round, begin, close
from flows.steps.admit import admit
from flows.steps.invent import invent
from flows.writers.inventors import check_invention
from schemas.errors import RatchetError
from schemas.recipes.invention import Invention
from schemas.recipes.parsing import load_recipe, with_value
from tests.flows.conftest import SMALL
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold

LOOP, WANTED = "inventing", 10  # with shards of 8: passes of several batches


def run(root: Path, rounds: int, invention: Invention) -> None:
    """The rounds that are left of so many."""
    values = with_value(load_recipe(tutor.RECIPES / "rft.yaml"), "prompts.family", "practice")
    for setting in SMALL:
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    recipe = parse_recipe(values)
    check_invention(invention, tutor.BASE)
    log = Log(Lake.create(root))
    open_loop(log, LOOP, check_opening(tutor.BASE, recipe))
    while (state := fold(log.lake, LOOP)) is not None and state.next_round < rounds:
        round_ = Round(log, LOOP, state.next_round, recipe, state.base, state.champion)
        begin(round_, 0, rounds)
        admit(round_)
        invent(round_, WANTED, invention)
        close(round_, "held", "it only invents", None, 0.0)


def main(arguments: Sequence[str]) -> int:
    """The lake's folder, how many rounds, and the invention as JSON; returns the exit code."""
    root, rounds, invention = arguments
    try:
        run(Path(root), int(rounds), Invention.model_validate(json.loads(invention)))
    except RatchetError as error:
        print(f"ratchet: {error}", file=sys.stderr)
        return error.exit_code
    return 0
