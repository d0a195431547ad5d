"""Non-inferiority: how a checkpoint's accuracy stands to a share of another's, on the same prompts.

For a share s each prompt gives a difference, challenger − s · champion, and their sum over its standard error
is taken for normal, prompts of one problem together. That is rough below some dozen differing problems. With
s = 0.95 a test needs 1,500 prompts and more to show that accuracy was kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Margin:
    """The ratio of two accuracies with its 95% interval, and the p-values of its being below or above a
    share.

    `below` is small where the challenger is surely below the share of the champion's accuracy, `above` where
    it is surely not.
    """

    ratio: float
    low: float
    high: float
    below: float
    above: float


def margin(
    champion: Sequence[bool],
    challenger: Sequence[bool],
    share: float,
    problems: Sequence[str] | None = None,
) -> Margin:
    """Both checkpoints' marks on the same prompts in the same order, held against a share (0 to 1).

    `problems` names the problem of each prompt (None: all differ). A champion that solved nothing cannot be
    undercut: the ratio is 1.
    """
    n, solved = len(champion), sum(champion)
    if not n or len(challenger) != n:
        raise ValueError(f"a paired test needs the same prompts twice, not {n} and {len(challenger)}")
    if not solved:
        return Margin(1.0, 1.0, 1.0, 1.0, 0.0)
    names = problems or [str(place) for place in range(n)]
    ratio = sum(challenger) / solved
    spread = Z95 * _error(champion, challenger, ratio, names) / solved
    below = _p_below(sum(challenger) - share * solved, _error(champion, challenger, share, names))
    return Margin(ratio, max(0.0, ratio - spread), ratio + spread, below, 1 - below)


def _error(champion: Sequence[bool], challenger: Sequence[bool], share: float, names: Sequence[str]) -> float:
    """The standard error of the sum of challenger − share · champion, over problems."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, old, new in zip(names, champion, challenger, strict=True):
        sums[name] += new - share * old
    count, mean = len(sums), sum(sums.values()) / len(sums)
    variance = sum((one - mean) ** 2 for one in sums.values())
    return math.sqrt(variance * count / (count - 1)) if count > 1 else math.inf


def _p_below(lead: float, error: float) -> float:
    """The chance of a lead so low or lower, were the truth none."""
    if error == 0:
        return 0.0 if lead < 0 else 1.0
    return NormalDist().cdf(lead / error)
