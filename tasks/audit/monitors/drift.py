"""Drift: how far have answers moved, in length and in form?

Jensen-Shannon divergence in bits (0: the same, 1: nothing in common) between this round's answers and
those of round 0 and of the last round: of answer lengths in tokens, and of the form of the final line.
Accepted answers may rightly move; a jump in one round, or a form that takes over, wants a look.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import polars as pl

from tasks.audit.reading import Answers, MonitorVerdict, Reading

Key = TypeVar("Key")

MONITOR = "drift"
BIN = 8  # tokens in one bin of the length histogram
WARN, STOP = 0.25, 0.75  # bits: see docs/lab.md for what a healthy loop does


def readings(now: Answers, baselines: Sequence[Answers]) -> list[Reading]:
    """Divergence of lengths and of answer forms from each baseline round, and the mean length."""
    result = [Reading(MONITOR, "mean_tokens", _mean(now.frame["token_count"]))]
    for then in baselines:
        moved = {
            "length_js": jensen_shannon(lengths(now.frame), lengths(then.frame)),
            "format_js": jensen_shannon(forms(now.frame), forms(then.frame)),
        }
        for metric, value in moved.items():
            result.append(
                Reading(
                    MONITOR,
                    metric,
                    value,
                    baseline=0.0,
                    against=f"round {then.round}",
                    threshold=WARN,
                    verdict=_verdict(value),
                )
            )
    return result


def lengths(frame: pl.DataFrame) -> Counter[int]:
    """Answers by length in tokens, in bins of `BIN`."""
    return Counter((frame["token_count"] // BIN).drop_nulls().to_list())


def forms(frame: pl.DataFrame) -> Counter[str]:
    """Answers by the form of their last line: digits become 9, words become w, at most 40 characters."""
    last = pl.col("text").str.strip_chars().str.split("\n").list.last().str.slice(0, 200)
    form = last.str.replace_all(r"\d+", "9").str.replace_all(r"\p{L}+", "w").str.slice(0, 40)
    return Counter(frame.select(form)["text"].to_list())


def jensen_shannon(left: Mapping[Key, int], right: Mapping[Key, int]) -> float:
    """Jensen-Shannon divergence of two histograms, in bits, 0 to 1; 0 where one is empty."""
    n, m = sum(left.values()), sum(right.values())
    if not n or not m:
        return 0.0
    total = 0.0
    for key in left.keys() | right.keys():
        p, q = left.get(key, 0) / n, right.get(key, 0) / m
        middle = (p + q) / 2
        total += sum(x * math.log2(x / middle) for x in (p, q) if x > 0) / 2
    return min(max(total, 0.0), 1.0)


def _mean(column: pl.Series) -> float | None:
    mean = column.mean()
    return float(mean) if isinstance(mean, int | float) else None


def _verdict(value: float) -> MonitorVerdict:
    if value >= STOP:
        return "stop"
    return "warn" if value >= WARN else "pass"
