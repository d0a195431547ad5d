"""One round: what its steps share, how it begins and how it closes.

A round is two rows of table `rounds`: its start, and its verdict (promoted, held or stopped). Everything
between is units of work under its name, so that a round that was killed goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from flows.round.progress import Advance, reporter
from flows.round.verdicts import STATE_OF, RoundVerdict
from schemas.errors import BadInput, TrainingFailed
from schemas.identity import round_event_id
from schemas.ids import digest
from schemas.recipes.shared import Recipe
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import Checkpoint

R = TypeVar("R", bound=Recipe, covariant=True)
Outcome = tuple[RoundVerdict, str, Checkpoint | None]
"""What a round of a recipe comes to: the verdict, why, and the challenger (None: nothing was trained)."""


@dataclass(frozen=True)
class Round(Generic[R]):
    """A round under way: its place in the log, its recipe, and the checkpoints it starts from."""

    log: Log
    loop: str
    number: int
    recipe: R
    base: Checkpoint
    champion: Checkpoint
    seconds: dict[str, float] = field(default_factory=dict)
    phase: str = ""

    @property
    def lake(self) -> Lake:
        """The lake the round is recorded in."""
        return self.log.lake

    @property
    def start(self) -> Checkpoint:
        """What its trainings start from: the base or the champion, as the recipe says."""
        return self.base if self.recipe.start_from == "base" else self.champion

    def unit(self, step: str, shard: int = 0) -> Unit:
        """A unit of this round's work under its recipe, and of the phase it is in."""
        return Unit(self.loop, self.number, step, shard, self.recipe.hash, self.phase)

    def in_phase(self, number: int, name: str) -> Round[R]:
        """The same round in phase `number` (from 1), which has seeds, units and ids of its own.

        Prompts, evaluation, audit and verdict belong to the whole round and are done outside of phases.
        """
        return replace(self, phase=f"{number:02d}-{name}")

    @property
    def whole(self) -> Round[R]:
        """The round outside of its phases."""
        return replace(self, phase="")

    @property
    def seed(self) -> int:
        """The recipe's seed; in a phase, one of its own."""
        seed: int = self.recipe.seed
        return int(digest((seed, self.phase))[:7], 16) if self.phase else seed

    @contextmanager
    def step(self, name: str, total: int | None, unit: str = "rows") -> Iterator[Advance]:
        """Time a step and show how far it is."""
        start = time.monotonic()
        label = " · ".join(part for part in (f"round {self.number}", self.phase, name) if part)
        count = 0
        show = reporter().begin(label, total, unit)

        def advance(rows: int, *, held: bool = False, note: str = "") -> None:
            nonlocal count
            count += rows
            show(rows, held=held, note=note)

        yield advance
        seconds = time.monotonic() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        reporter().end(label, f"{count:,} {unit}", seconds)

    @contextmanager
    def model_at_work(self) -> Iterator[None]:
        """Time that the model itself takes: generation, training, answers for evaluation."""
        start = time.monotonic()
        yield
        self.seconds["model"] = self.seconds.get("model", 0.0) + time.monotonic() - start


@dataclass(frozen=True)
class Closed:
    """How a round ended."""

    number: int
    verdict: RoundVerdict
    reason: str
    champion: str


def begin(round_: Round[Any], night_begins: int, night_ends: int) -> None:
    """Record that the round has started, under which recipe, and as part of which night."""
    unit = Unit(round_.loop, round_.number, "start")
    recipe = round_.recipe

    def row() -> pl.DataFrame:
        return pl.DataFrame(
            {
                "event_id": round_event_id(round_.number, round_.loop, "started"),
                "state": "started",
                "recipe": recipe.recipe,
                "recipe_hash": recipe.hash,
                "recipe_values": recipe.model_dump_json(),
                "night_begins": night_begins,
                "night_ends": night_ends,
                "champion_in": round_.champion.id,
            }
        )

    round_.log.once(unit, "rounds", row)


def hold(
    round_: Round[Any],
    night_begins: int,
    night_ends: int,
    improve: Callable[[Round[Any]], Outcome],
) -> Closed:
    """One round of any recipe, from its start to its verdict.

    A BadInput or TrainingFailed closes the round as stopped, with the error as its reason: the champion stays
    and the night ends. Other errors leave the round open, to be resumed.
    """
    start = time.monotonic()
    begin(round_, night_begins, night_ends)
    try:
        verdict, reason, challenger = improve(round_)
    except (BadInput, TrainingFailed) as error:
        verdict, reason, challenger = "stopped", f"{type(error).__name__}: {error}", None
    return close(round_, verdict, reason, challenger, time.monotonic() - start)


def close(
    round_: Round[Any], verdict: RoundVerdict, reason: str, challenger: Checkpoint | None, total: float
) -> Closed:
    """Record how the round ended: a promoted challenger is the next champion, else the champion stays.

    The champion is the loop's policy. A challenger of another role (a preference model) that is promoted is
    the loop's of that role (`warehouse.loops.champion_of`), and the champion stays. `challenger` is None
    where nothing was trained; `total` is the round's wall time in seconds.
    """
    started = round_.log.rows([Unit(round_.loop, round_.number, "start")], "rounds")
    wins = challenger is not None and verdict == "promoted" and challenger.role == round_.champion.role
    winner = challenger if wins and challenger is not None else round_.champion
    seconds = {name: round(value, 3) for name, value in round_.seconds.items()} | {"total": round(total, 3)}

    def row() -> pl.DataFrame:
        return started.select(
            pl.lit(round_event_id(round_.number, round_.loop, "closed")).alias("event_id"),
            pl.lit(STATE_OF[verdict]).alias("state"),
            "recipe",
            "recipe_hash",
            "recipe_values",
            "night_begins",
            "night_ends",
            "champion_in",
            pl.lit(challenger.id if challenger else None).alias("challenger"),
            pl.lit(winner.id).alias("champion_out"),
            pl.lit(reason).alias("reason"),
            pl.lit(json.dumps(seconds)).alias("seconds"),
        )

    round_.log.once(Unit(round_.loop, round_.number, "close"), "rounds", row)
    return Closed(round_.number, verdict, reason, winner.id)


def lake_path(path: Path, lake: Lake) -> str:
    """How the log names a folder: relative to the lake where it lies in it, absolute elsewhere."""
    resolved = path.resolve()
    return str(resolved.relative_to(lake.root)) if resolved.is_relative_to(lake.root) else str(resolved)
