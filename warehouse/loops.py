"""A loop's state, folded from the log: its base, its champion, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import BadInput, LakeBusy, LakeError
from warehouse.lake import Lake
from warehouse.models.location import folder_of
from warehouse.query import query, read


@dataclass(frozen=True)
class Checkpoint:
    """A set of weights and its folder, which means nothing for a model behind an endpoint.

    `files_hash` covers the other files that decide what is computed (None: the row is older than that hash).
    `role` is policy for what the loop improves, reward or value for what a training with such a head made,
    else that of a guest.
    """

    id: str
    folder: Path
    content_hash: str
    files_hash: str | None = None
    role: str = "policy"


@dataclass(frozen=True)
class LoopState:
    """What the log says of a loop. `open_recipe` is the recipe of the round that is open; `opened` is the day
    (UTC) on which the base went on record.
    """

    base: Checkpoint
    champion: Checkpoint
    next_round: int
    night_begins: int
    night_ends: int
    open_recipe: dict[str, Any] | None
    open_hash: str | None
    last_recipe: dict[str, Any] | None
    opened: date

    @property
    def unfinished(self) -> bool:
        """Whether the last night was cut short: a round is open, or rounds of it were never begun."""
        return self.open_recipe is not None or self.next_round < self.night_ends


def fold(lake: Lake, loop: str) -> LoopState | None:
    """The state of a loop; None where the log has no base for it yet."""
    bases = read(lake, "checkpoints", {"loop": loop, "round": 0}).filter(
        pl.col("parent_id").is_null() & pl.col("training_id").is_null() & (pl.col("role") == "policy")
    )
    if bases.is_empty():
        return None
    base, opened = checkpoint(lake, bases.row(0, named=True)), bases["recorded_at"][0].date()
    states = query(
        lake,
        "SELECT * FROM round_states WHERE loop = $loop ORDER BY round",
        {"loop": loop},
        scope={"loop": loop},
    ).to_dicts()
    if not states:
        return LoopState(base, base, 0, 0, 0, None, None, None, opened)
    last = states[-1]
    is_open = last["state"] == "started"
    recipe = json.loads(last["recipe_values"])
    champion = last["champion_in"] if is_open else last["champion_out"]
    stopped = last["state"] == "stopped"
    return LoopState(
        base=base,
        champion=base if champion == base.id else find_checkpoint(lake, loop, champion),
        next_round=last["round"] + (0 if is_open else 1),
        night_ends=0 if stopped else last["night_ends"],
        night_begins=last["night_begins"],
        open_recipe=recipe if is_open else None,
        open_hash=last["recipe_hash"] if is_open else None,
        last_recipe=recipe,
        opened=opened,
    )


def find_checkpoint(lake: Lake, loop: str, checkpoint_id: str) -> Checkpoint:
    """A checkpoint of a loop by its id."""
    rows = read(lake, "checkpoints", {"loop": loop, "checkpoint_id": checkpoint_id})
    if rows.is_empty():
        raise LakeError(f"loop {loop}: the log names checkpoint {checkpoint_id} but does not hold it")
    return checkpoint(lake, rows.row(0, named=True))


def checkpoint(lake: Lake, row: dict[str, Any]) -> Checkpoint:
    """A row of table `checkpoints` as a value, its folder found by content (models/location.py)."""
    return Checkpoint(
        row["checkpoint_id"], folder_of(lake, row), row["content_hash"], row.get("files_hash"), row["role"]
    )


def champion_of(lake: Lake, loop: str, role: str, before: int | None = None) -> Checkpoint | None:
    """The loop's checkpoint of a role beside its policy (reward, value): the newest that a round promoted,
    of the rounds before `before` where that is given; None where there is none.
    """
    promoted = query(
        lake,
        "SELECT round, challenger FROM round_states"
        " WHERE loop = $loop AND state = 'finished' AND challenger IS NOT NULL ORDER BY round DESC",
        {"loop": loop},
        scope={"loop": loop},
    )
    for number, challenger in promoted.iter_rows():
        if before is None or number < before:
            one = find_checkpoint(lake, loop, challenger)
            if one.role == role:
                return one
    return None


def past_champions(lake: Lake, loop: str) -> list[str]:
    """Ids of every checkpoint that has been champion before the present one, newest first."""
    sql = "SELECT DISTINCT champion_in, min(round) AS since FROM round_states WHERE loop = $loop GROUP BY 1"
    rows = query(lake, f"SELECT champion_in FROM ({sql}) ORDER BY since DESC", {"loop": loop})
    return rows["champion_in"].to_list()


def taught_before(lake: Lake, loop: str, champion: str) -> int:
    """The first round of which a champion has learned nothing: the one after that which promoted it; 0 for
    a loop's base.
    """
    sql = """
        SELECT coalesce(max(round) + 1, 0) AS first FROM round_states
        WHERE loop = $loop AND champion_out = $champion AND champion_in <> $champion"""
    return int(query(lake, sql, {"loop": loop, "champion": champion}, scope={"loop": loop})["first"][0])


@contextmanager
def locked(lake: Lake, loop: str) -> Iterator[None]:
    """Hold a loop for this process; BadInput where another one has it.

    The lock dies with its process. Exactly-once does not rest on it: it keeps two runs from doing the
    same work side by side.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lake.store.exclusive(loop, wait=False))
        except LakeBusy as error:
            raise BadInput(f"loop {loop} is being run by {error}; wait for it, or use --loop") from None
        yield
