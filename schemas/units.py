"""A unit of work: what is done once. Its key is the name under which the log knows it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import BadInput
from schemas.ids import LOOP_NAME


@dataclass(frozen=True, order=True)
class Unit:
    """One shard of one step of one round, done under one recipe.

    `recipe` is the hash of the recipe's values: other values are other work.
    """

    loop: str
    round: int
    step: str
    shard: int = 0
    recipe: str = "-"

    def __post_init__(self) -> None:
        check_loop(self.loop)

    @property
    def key(self) -> str:
        """The unit's name in the log; keys of one loop sort by round."""
        return f"{self.loop}/{self.round:05d}/{self.step}/{self.shard:05d}/{self.recipe}"


def check_loop(name: str) -> str:
    """The name, where it may name a loop: it becomes a folder and a part of keys."""
    if not LOOP_NAME.fullmatch(name):
        raise BadInput(
            f"a loop's name is 1 to 64 of a-z, 0-9 and '-', not starting or ending with '-': not {name!r}"
        )
    return name
