"""Rounds on the tutor that only invent prompts, in a process of their own: what the kill tests kill.

python -m tests.flows.inventing LAKE INVENTION_JSON ROUNDS [KEY=VALUE ...]
"""

from __future__ import annotations

import json
import sys

import tutor
from flows.invention import check_invention, invent
from flows.opening import check_opening, open_loop
from flows.round import Round, begin, close
from flows.steps import admit
from schemas.errors import RatchetError
from schemas.recipe import Invention
from schemas.recipes import load_recipe, parse_recipe, with_value
from tests.flows.conftest import SMALL
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold

LOOP, WANTED = "inventing", 10  # with shards of 8: passes of several batches


def run(root: str, invention: Invention, rounds: int, settings: tuple[str, ...]) -> None:
    """The rounds that are left of so many."""
    values = load_recipe(tutor.RECIPES / "rft.yaml")
    for setting in (*SMALL, *settings):
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    recipe = parse_recipe(values)
    check_invention(invention, tutor.BASE)
    log = Log(Lake.create(root))
    opening = check_opening(tutor.BASE, recipe)
    open_loop(log, LOOP, opening)
    while (state := fold(log.lake, LOOP)) is not None and state.next_round < rounds:
        round_ = Round(log, LOOP, state.next_round, recipe, state.base, state.champion)
        begin(round_, 0, rounds)
        admit(round_)
        invent(round_, WANTED, invention)
        close(round_, "held", "it only invents", None, 0.0)


def main(arguments: list[str]) -> int:
    """The command line."""
    root, invention, rounds, *settings = arguments
    try:
        run(root, Invention.model_validate(json.loads(invention)), int(rounds), tuple(settings))
    except RatchetError as error:
        print(f"ratchet: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
