"""Promises of a night's plan: the same command does what is left, another number of rounds begins anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from flows.nightly import Plan, plan
from warehouse.loops import Checkpoint, LoopState

BASE = Checkpoint("ckpt", Path("base"), "0" * 64)
OPEN = LoopState(BASE, BASE, 1, 0, 3, None, None, None, date(2026, 1, 1))
"""A night of three rounds, of which the first is closed."""


def test_the_same_command_does_what_is_left_of_a_night() -> None:
    assert plan(OPEN, 3) == plan(OPEN, None) == Plan(0, 1, 3, True)


def test_another_number_of_rounds_begins_a_night_at_the_round_that_is_open() -> None:
    assert plan(OPEN, 2) == Plan(1, 1, 3, True)
    assert plan(OPEN, 5) == Plan(1, 1, 6, True)


def test_after_a_finished_night_the_next_one_begins() -> None:
    state = replace(OPEN, next_round=3)
    assert plan(state, 3) == Plan(3, 3, 6, False)
    assert plan(state, None) == Plan(3, 3, 4, False)
