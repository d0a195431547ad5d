"""The budget behind endpoints: a request is sent only if the most that it can take is still there.

Covered: requests side by side, retries (an attempt whose answer never came counts as the most it can have
taken), and what earlier runs of the loop have on record. Not covered: requests in flight when this process is
killed, which nobody counts; a server that charges for what it refuses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from schemas.engine import Budget
from schemas.errors import BudgetSpent


@dataclass(frozen=True, slots=True)
class Bound:
    """The most tokens that one attempt can take."""

    read: int
    written: int


NOTHING = Bound(0, 0)


class Spending:
    """What a loop has spent, of a budget: tokens, and money by the budget's prices.

    `setting` is where the recipe has the endpoint that the budget is for.
    """

    def __init__(self, budget: Budget, tokens: int = 0, money: float = 0.0, setting: str = "engine") -> None:
        self.budget, self.tokens, self.money, self._setting = budget, tokens, money, setting
        self.begin()

    def begin(self) -> None:
        """Requests begin in a new event loop: nothing is set aside."""
        self._held_tokens, self._held_money = 0, 0.0
        self._changed = asyncio.Event()

    def cost(self, bound: Bound) -> float:
        """Money for so many tokens."""
        return self.budget.cost(bound.read, bound.written)

    async def hold(self, bound: Bound) -> None:
        """Set aside what an attempt may take, waiting for others; BudgetSpent where that cannot help."""
        while not self._fits(bound):
            if not self._held_tokens:
                raise BudgetSpent(self._message(bound))
            self._changed.clear()
            await self._changed.wait()
        self._held_tokens += bound.read + bound.written
        self._held_money += self.cost(bound)

    def settle(self, bound: Bound, used: Bound) -> None:
        """An attempt's set-aside comes back, and what it took is spent."""
        self._held_tokens -= bound.read + bound.written
        self._held_money = self._held_money - self.cost(bound) if self._held_tokens else 0.0
        self.tokens += used.read + used.written
        self.money += self.cost(used)
        self._changed.set()

    def _fits(self, bound: Bound) -> bool:
        tokens = self.tokens + self._held_tokens + bound.read + bound.written
        money = self.money + self._held_money + self.cost(bound)
        within = self.budget.tokens is None or tokens <= self.budget.tokens
        return within and (self.budget.money is None or money <= self.budget.money)

    def _message(self, bound: Bound) -> str:
        needs, most = bound.read + bound.written, self.budget.tokens
        if most is not None and self.tokens + needs > most:
            kind, total, spent, next_one = "tokens", f"{most:,} tokens", f"{self.tokens:,}", f"{needs:,}"
        else:
            kind, total = "money", f"{self.budget.money:g}"
            spent, next_one = f"{self.money:.6g}", f"{self.cost(bound):.6g}"
        return (
            f"the budget of {total} has no room for a request that could take {next_one} ({spent} spent); "
            f"give a larger {self._setting}.budget.{kind} to go on"
        )
