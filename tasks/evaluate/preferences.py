"""How good a preference model is on held-out pairs: accuracy, calibration, and its margin by length.

A margin is the score of the preferred answer less that of the other; sigmoid(margin) is the chance that the
model gives to what was preferred. Calibration is read on what the model is sure of: the side that it prefers,
how sure it is (0.5 to 1), and how often that side is the preferred one. With soft labels "how often" is the
label's own probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.evaluate.measure import Metric
from tasks.evaluate.passk import Floats, Z, design_effect, wilson_interval

RESAMPLES = 1000
BINS = 5
"""Of the chance that the model gives to the side it prefers: 0.5 to 0.6, 0.6 to 0.7 ..."""


def pair_metrics(pairs: pl.DataFrame, problems: Sequence[str]) -> list[Metric]:
    """Every measure over pairs: columns margin, probability (0.5 to 1, of the preferred being better) and
    longer (tokens of the preferred less those of the other).

    A margin of 0 is no preference, and counts as wrong. Pairs of one problem are not independent: intervals
    are wider for it. `brier` and `ece` are 0 at best; `loss` is in nats a pair.
    """
    margins = pairs["margin"].to_numpy().astype(np.float64)
    labels = pairs["probability"].to_numpy().astype(np.float64)
    longer = pairs["longer"].to_numpy().astype(np.float64)
    n, right = len(margins), (margins > 0).astype(np.float64)
    chances = 1.0 / (1.0 + np.exp(-np.clip(margins, -500, 500)))
    sure = np.maximum(chances, 1.0 - chances)
    hits = np.where(right > 0, labels, 1.0 - labels)
    loss = labels * np.logaddexp(0.0, -margins) + (1.0 - labels) * np.logaddexp(0.0, margins)
    metrics = [
        _share("accuracy", right, problems),
        _mean("loss", loss, problems),
        _mean("brier", (chances - labels) ** 2, problems),
        Metric("ece", _ece(sure, hits), n, *_ece_interval(sure, hits, problems)),
        _mean("margin", margins, problems),
        *_reliability(sure, hits),
    ]
    for name, where in (("longer", longer > 0), ("shorter", longer < 0)):
        if where.any():
            own = [problem for problem, one in zip(problems, where, strict=True) if one]
            metrics += [
                _mean(f"margin, preferred is {name}", margins[where], own),
                _share(f"accuracy, preferred is {name}", right[where], own),
            ]
    return [*metrics, *_by_length(margins, longer)]


def _bins(sure: Floats) -> npt.NDArray[np.int64]:
    return np.minimum(((sure - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)


def _ece(sure: Floats, hits: Floats) -> float:
    """Expected calibration error (Naeini et al. 2015): |how often - how sure| over bins, by their sizes."""
    bins = _bins(sure)
    gaps = [abs(float(hits[bins == one].sum() - sure[bins == one].sum())) for one in range(BINS)]
    return sum(gaps) / len(sure)


def _ece_interval(sure: Floats, hits: Floats, problems: Sequence[str]) -> tuple[float, float]:
    """The 95% percentile interval of the error over problems drawn again (Efron 1979), the error itself in
    it: drawn again it is larger, since what is left of chance in a bin counts as error.
    """
    places = np.unique(np.asarray(problems), return_inverse=True)[1]
    groups, draws = int(places.max()) + 1, np.random.default_rng(0)
    bins, gaps = _bins(sure), hits - sure
    sums = np.zeros((groups, BINS))
    np.add.at(sums, (places, bins), gaps)
    sizes = np.bincount(places, minlength=groups)
    errors = []
    for _ in range(RESAMPLES):
        times = np.bincount(draws.integers(groups, size=groups), minlength=groups)
        errors.append(float(np.abs(times @ sums).sum()) / max(1, int(times @ sizes)))
    low, high = np.quantile(errors, [0.025, 0.975])
    own = _ece(sure, hits)
    return min(own, float(low)), max(own, float(high))


def _reliability(sure: Floats, hits: Floats) -> list[Metric]:
    """The reliability table: by bin how sure the model is, and how often it is right, over its pairs."""
    bins, rows = _bins(sure), []
    for one in range(BINS):
        inside = bins == one
        count = int(inside.sum())
        if not count:
            continue
        name = f"{0.5 + one / (2 * BINS):.1f}-{0.5 + (one + 1) / (2 * BINS):.1f}"
        share = float(hits[inside].mean())
        low, high = wilson_interval(round(share * count), count)
        rows += [
            Metric(f"sure {name}", float(sure[inside].mean()), count),
            Metric(f"right {name}", share, count, min(low, share), max(high, share)),
        ]
    return rows


def _by_length(margins: Floats, longer: Floats) -> list[Metric]:
    """Pearson's correlation of the margin with how much longer the preferred answer is; Fisher's interval."""
    n = len(margins)
    if n < 4 or not margins.std() or not longer.std():
        return []
    r = float(np.corrcoef(margins, longer)[0, 1])
    middle, half = math.atanh(max(-0.999999, min(0.999999, r))), Z / math.sqrt(n - 3)
    return [Metric("margin by length, r", r, n, math.tanh(middle - half), math.tanh(middle + half))]


def _share(name: str, marks: Floats, problems: Sequence[str]) -> Metric:
    passed, n = int(marks.sum()), len(marks)
    return Metric(name, passed / n, n, *wilson_interval(passed, n, design_effect(marks, problems)))


def _mean(name: str, values: Floats, problems: Sequence[str]) -> Metric:
    """A mean with its normal 95% interval; pairs of one problem are added before they are squared."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Metric(name, mean, n)
    places = np.unique(np.asarray(problems), return_inverse=True)[1]
    totals = np.bincount(places, weights=values - mean)
    groups = totals.size
    spread = math.sqrt(float((totals**2).sum()) * groups / max(1, groups - 1)) / n
    return Metric(name, mean, n, mean - Z * spread, mean + Z * spread)
