"""The gate: a challenger is promoted when a paired test says that it is better, and no audit says stop.

The test is McNemar's, exact and one-sided: among the prompts that just one of the two solved, would a
fair coin give the challenger so many?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class GateDecision:
    """Whether to promote. `wins` are the prompts that only the challenger solved, `losses` the others."""

    promote: bool
    p_value: float
    wins: int
    losses: int
    reason: str


def mcnemar(wins: int, losses: int) -> float:
    """The chance of at least `wins` heads in `wins + losses` throws of a fair coin (McNemar 1947, exact)."""
    if wins < 0 or losses < 0:
        raise ValueError(f"wins and losses are counts, not {wins} and {losses}")
    n = wins + losses
    tail = sum(math.comb(n, i) for i in range(wins, n + 1))
    return float(tail / 2**n)


def decide(
    champion: Sequence[bool], challenger: Sequence[bool], alpha: float, stops: Sequence[str] = ()
) -> GateDecision:
    """Promote or hold, from both checkpoints' verdicts on the same held-out prompts in the same order.

    `alpha` is the largest p-value that promotes; `stops` names the audits that say stop.
    """
    n = len(champion)
    if not n or len(challenger) != n:
        raise ValueError(f"a paired test needs the same prompts twice, not {n} and {len(challenger)}")
    wins = sum(new and not old for old, new in zip(champion, challenger, strict=True))
    losses = sum(old and not new for old, new in zip(champion, challenger, strict=True))
    p = mcnemar(wins, losses)
    counts = f"{sum(challenger)} of {n} against {sum(champion)}, {wins} won, {losses} lost, p = {p:.2g}"
    if stops:
        return GateDecision(False, p, wins, losses, f"audit says stop: {', '.join(stops)} ({counts})")
    if p <= alpha and wins > losses:
        return GateDecision(True, p, wins, losses, f"better: {counts}")
    why = "not better" if wins <= losses else f"not surely better (alpha {alpha:g})"
    return GateDecision(False, p, wins, losses, f"{why}: {counts}")
