"""What a teacher may be asked for: a budget over all rounds of a loop that ends the asking, not the round.

What was spent is read from the log: tokens read and written of a teacher's texts, or of the requests to it
where it is behind an endpoint. A unit of work is asked for if the most that it can take is still there, in
the order of the units, so that a round that goes on after a kill asks for the same ones. Held-out prompts,
asked once, count too and are asked last. Where the tokenizer is not known here, that is about the most: a
token a byte of the question, and an allowance for what the teacher's chat template puts around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flows.round.progress import reporter
from flows.round.round import Round
from flows.writers.engines import endpoint_of
from schemas.engine import Budget
from schemas.units import Unit
from warehouse.lake import Where
from warehouse.loops import Checkpoint
from warehouse.query import read

ASKED = "ask-"  # what the step of a unit's requests begins with
AROUND = 64
"""Tokens that a chat template may put around a prompt; what it does behind an endpoint is not known."""


def most_tokens(texts: Iterable[str]) -> int:
    """About the most tokens that these prompts can have by any tokenizer, within its chat template."""
    return sum(len(text.encode()) + AROUND for text in texts)


@dataclass
class Purse:
    """A budget, and what of it is spent: tokens read and written."""

    round: Round[Any]
    teacher: Checkpoint
    budget: Budget
    read: int = 0
    written: int = 0
    unasked: int = 0
    _told: int = field(default=0, repr=False)

    @classmethod
    def of(cls, round_: Round[Any], teacher: Checkpoint, budget: Budget) -> Purse:
        """The purse as it was when the round began."""
        purse = cls(round_, teacher, budget)
        where: Where = {"loop": round_.loop, "checkpoint_id": teacher.id}
        table = "requests" if purse.is_endpoint else "candidates"
        purse._spend(read(round_.lake, table, where).filter(pl.col("round") < round_.number))
        return purse

    @property
    def is_endpoint(self) -> bool:
        """Whether requests say what was spent."""
        return endpoint_of(self.round.recipe, self.teacher, "teacher") is not None

    @property
    def money(self) -> float:
        """What was spent, by the budget's prices."""
        return self.budget.cost(self.read, self.written)

    def allows(self, read_tokens: int, written: int, prompts: int) -> bool:
        """Whether work that can take so many tokens may be asked for; where not, its prompts are counted."""
        tokens = self.read + self.written + read_tokens + written
        money = self.budget.cost(self.read + read_tokens, self.written + written)
        within = self.budget.tokens is None or tokens <= self.budget.tokens
        allowed = within and (self.budget.money is None or money <= self.budget.money)
        self.unasked += 0 if allowed else prompts
        return allowed

    def take(self, rows: pl.DataFrame, unit: Unit) -> None:
        """Count the texts of a unit (rows of table `candidates`) as spent."""
        if not self.is_endpoint:
            self._spend(rows)
            return
        where: Where = {"loop": unit.loop, "round": unit.round, "checkpoint_id": self.teacher.id}
        step = f"{ASKED}{unit.step}-{unit.shard}"
        own = Unit(unit.loop, unit.round, step, 0, unit.recipe, unit.phase).key.rsplit("/", 2)[0] + "/"
        self._spend(read(self.round.lake, "requests", where).filter(pl.col("unit").str.starts_with(own)))

    def tell(self) -> None:
        """Say how many prompts were not asked so far, where that is more than was said."""
        if self.unasked > self._told:
            self._told = self.unasked
            reporter().say(
                f"  teacher.budget is spent ({self.read + self.written:,} tokens, {self.money:.6g}): "
                f"{self.unasked:,} prompts were not asked so far"
            )

    def _spend(self, rows: pl.DataFrame) -> None:
        if "completion_tokens" in rows.columns:
            written = pl.col("completion_tokens").fill_null(pl.col("tokens"))
            self.read += int(rows["prompt_tokens"].fill_null(0).sum())
            self.written += int(rows.select(written.sum()).item() or 0)
            return
        self.read += int(rows["prompt_tokens"].fill_null(0).sum())
        self.written += int(rows["token_count"].fill_null(0).sum())
