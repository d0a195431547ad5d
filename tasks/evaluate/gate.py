"""The gate: a challenger is promoted when a paired test says that it is better, and no audit says stop.

The test is McNemar's, exact and one-sided: among the prompts that just one of the two solved, would a
fair coin give the challenger so many? Where several prompts tell one problem, one coin is thrown for all of
them: the two checkpoints' marks are exchanged problem by problem (Fisher's randomization test), which with a
prompt a problem is McNemar's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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


def exchanged(leads: Sequence[int]) -> float:
    """The exact chance of a total lead at least as large, if a fair coin gave each problem's lead (prompts
    won less prompts lost) to one checkpoint or the other. With leads of one it is `mcnemar`.
    """
    sizes = sorted({abs(lead) for lead in leads} - {0})
    if sizes in ([], [1]):
        return mcnemar(sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads))
    most = sum(abs(lead) for lead in leads)
    chances = np.zeros(2 * most + 1)  # of each lead in all, from -most
    chances[most] = 1.0
    for lead in map(abs, leads):
        if lead:
            chances = (
                np.roll(chances, lead) + np.roll(chances, -lead)
            ) / 2  # its ends are empty until the last
    return float(chances[most + sum(leads) :].sum())


def fewest(alpha: float) -> int:
    """The fewest held-out prompts that could promote: with less, not even winning all of them would."""
    n = 1
    while mcnemar(n, 0) > alpha:
        n += 1
    return n


def decide(
    champion: Sequence[bool],
    challenger: Sequence[bool],
    alpha: float,
    stops: Sequence[str] = (),
    problems: Sequence[str] | None = None,
) -> GateDecision:
    """Promote or hold, from both checkpoints' verdicts on the same held-out prompts in the same order.

    `alpha` is the largest p-value that promotes; `stops` names the audits that say stop; `problems` names the
    problem of each prompt (None: all differ).
    """
    n = len(champion)
    if not n or len(challenger) != n:
        raise ValueError(f"a paired test needs the same prompts twice, not {n} and {len(challenger)}")
    wins = sum(new and not old for old, new in zip(champion, challenger, strict=True))
    losses = sum(old and not new for old, new in zip(champion, challenger, strict=True))
    leads: Counter[str] = Counter()
    for problem, old, new in zip(problems or map(str, range(n)), champion, challenger, strict=True):
        leads[problem] += int(new) - int(old)
    p = exchanged(list(leads.values()))
    counts = f"{sum(challenger)} of {n} against {sum(champion)}, {wins} won, {losses} lost, p = {p:.2g}"
    if len(leads) < n:
        counts += f" over {len(leads)} problems"
    if stops:
        return GateDecision(False, p, wins, losses, f"audit says stop: {', '.join(stops)} ({counts})")
    if p <= alpha and wins > losses:
        return GateDecision(True, p, wins, losses, f"better: {counts}")
    why = "not better" if wins <= losses else f"not surely better (alpha {alpha:g})"
    return GateDecision(False, p, wins, losses, f"{why}: {counts}")
