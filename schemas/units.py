"""A unit of work: what is done once. Its key is the name under which the log knows it.

A round may have phases, each of which generates, freezes and trains for itself; a phase's name is part of its
units' names. A round of one phase has none in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.errors import BadInput
from schemas.ids import LOOP_NAME

PHASE = re.compile(r"[0-9]{2}-[a-z][a-z0-9-]*")


@dataclass(frozen=True, order=True)
class Unit:
    """One shard of one step of one round, done under one recipe.

    `recipe` is the hash of the recipe's values: other values are other work. `phase` is a name such as
    "01-answers", whose number orders a round's phases; "" where the work is the whole round's.
    """

    loop: str
    round: int
    step: str
    shard: int = 0
    recipe: str = "-"
    phase: str = ""

    def __post_init__(self) -> None:
        check_loop(self.loop)
        if self.phase and not PHASE.fullmatch(self.phase):
            raise BadInput(f"a phase is two digits and a name, such as 01-answers: not {self.phase!r}")

    @property
    def name(self) -> str:
        """The step, with its phase where it has one: "filter", or "01-answers.filter"."""
        return f"{self.phase}.{self.step}" if self.phase else self.step

    @property
    def key(self) -> str:
        """The unit's name in the log; keys of one loop sort by round."""
        return f"{self.loop}/{self.round:05d}/{self.name}/{self.shard:05d}/{self.recipe}"


def check_loop(name: str) -> str:
    """The name, where it may name a loop: it becomes a folder and a part of keys."""
    if not LOOP_NAME.fullmatch(name):
        raise BadInput(
            f"a loop's name is 1 to 64 of a-z, 0-9 and '-', not starting or ending with '-': not {name!r}"
        )
    return name
