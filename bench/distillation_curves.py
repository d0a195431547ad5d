"""How the arms of the distillation experiment compare: examples to the same accuracy, and a drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

FIRST = "references"
"""The arm that the others are held against."""


def needed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By arm: mean accuracy over seeds at each size, and the examples it takes to reach that of references at
    the smallest size, on a line between the sizes' logarithms; none where that lies beyond them.
    """
    arms = dict.fromkeys(one["arm"] for one in rows if one["examples"])
    means = {arm: _means(rows, arm) for arm in arms}
    goal = means[FIRST][min(means[FIRST])] if FIRST in means else None
    return [
        {
            "arm": arm,
            **{f"{size} examples": f"{100 * value:.1f}" for size, value in sorted(own.items())},
            "examples to reach the references' first": _reached(own, goal),
        }
        for arm, own in means.items()
    ]


def _means(rows: Sequence[Mapping[str, Any]], arm: str) -> dict[int, float]:
    own = [one for one in rows if one["arm"] == arm]
    sizes = sorted({one["examples"] for one in own})
    each = {size: [one["accuracy"] for one in own if one["examples"] == size] for size in sizes}
    return {size: sum(values) / len(values) for size, values in each.items()}


def _reached(means: Mapping[int, float], goal: float | None) -> int | None:
    points = sorted(means.items())
    if goal is None or len(points) < 2:
        return None
    for (small, low), (large, high) in pairwise(points):
        if low <= goal <= high and high > low:
            way = (goal - low) / (high - low)
            return round(math.exp(math.log(small) + way * (math.log(large) - math.log(small))))
    return None


def plot_distillation(rows: Sequence[Mapping[str, Any]], file: Path, title: str) -> None:
    """Accuracy by the number of examples, and style against accuracy, a colour an arm."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 3.8), dpi=150)
    base = next(one for one in rows if not one["examples"])
    for arm in dict.fromkeys(one["arm"] for one in rows if one["examples"]):
        own = [one for one in rows if one["arm"] == arm]
        means = _means(rows, arm)
        (line,) = left.plot(list(means), [100 * one for one in means.values()], marker="o", label=arm)
        for one in own:
            ends = [[100 * (one["accuracy"] - one["low"])], [100 * (one["high"] - one["accuracy"])]]
            left.errorbar([one["examples"]], [100 * one["accuracy"]], ends, color=line.get_color(), alpha=0.4)
        right.scatter([one["style"] for one in own], [100 * one["accuracy"] for one in own], label=arm)
    right.scatter([base["style"]], [100 * base["accuracy"]], color="black", marker="x", label="the reader")
    left.set_xscale("log")
    left.set_xlabel("examples")
    left.set_ylabel("held-out accuracy, greedy, %")
    right.set_xlabel("like the teacher's text (ROUGE-L F, numbers masked)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=7)
    left.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)
