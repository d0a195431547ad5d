"""Estimates from samples: pass@k without bias, majority vote, and intervals for both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054  # the normal quantile of a two-sided 95% interval

Floats = npt.NDArray[np.float64]


def pass_at_k(drawn: npt.ArrayLike, right: npt.ArrayLike, k: int) -> Floats:
    """The chance that one of k samples is right, for each prompt, without bias (Chen et al. 2021).

    `drawn` and `right` count a prompt's samples and the right ones among them, shape [prompts]. Computed as
    1 - prod(1 - k / i) for i from drawn - right + 1 to drawn, which neither overflows nor cancels.
    """
    counts, correct = np.asarray(drawn, dtype=np.int64), np.asarray(right, dtype=np.int64)
    if counts.shape != correct.shape or counts.ndim != 1:
        raise ValueError(f"one count of samples and of right ones a prompt: {counts.shape}, {correct.shape}")
    if k < 1 or (counts < k).any():
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples of every prompt")
    if (correct < 0).any() or (correct > counts).any():
        raise ValueError("a prompt cannot have more right samples than samples")
    return np.array([_one(n, c, k) for n, c in zip(counts.tolist(), correct.tolist(), strict=True)])


def majority_vote(answers: Sequence[str | None]) -> str | None:
    """The answer that most samples gave; the one given first among equals; None where none gave any."""
    counts = Counter(answer for answer in answers if answer is not None)
    return max(counts, key=counts.__getitem__) if counts else None  # a dict keeps the order of first votes


def design_effect(values: npt.ArrayLike, problems: Sequence[str]) -> float:
    """The factor by which shared problems raise the variance of a mean over prompts.

    `values` (0 to 1) and `problems` have one entry a prompt. Prompts of one problem are solved or missed
    together, so their deviations are added before they are squared (Kish 1965, Survey Sampling). The factor
    is at least 1; where all values are the same, prompts of one problem are taken to agree always.
    """
    places = np.unique(np.asarray(problems), return_inverse=True)[1]
    sizes = np.bincount(places)
    if sizes.max(initial=1) == 1:
        return 1.0
    numbers = np.asarray(values, dtype=np.float64)
    apart, groups, n = numbers - numbers.mean(), sizes.size, numbers.size
    spread = float((apart**2).sum())
    if spread == 0 or groups == 1:
        return float((sizes**2).sum()) / n
    totals = np.bincount(places, weights=apart)
    return max(1.0, groups / (groups - 1) * float((totals**2).sum()) / (n / (n - 1) * spread))


def wilson_interval(passed: int, n: int, effect: float = 1.0) -> tuple[float, float]:
    """The 95% score interval of a proportion (Wilson 1927); it stays within 0 and 1.

    A design effect divides the number of measurements (Korn & Graubard 1998, Survey Methodology 24:193).
    """
    if n < 1 or not 0 <= passed <= n:
        raise ValueError(f"a proportion needs 0 <= passed <= n and n > 0, not {passed} of {n}")
    share, spread = passed / n, Z * Z * effect / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) * effect / n + spread * effect / (4 * n))
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    return low, 1.0 if passed == n else min(1.0, centre + half)


def mean_interval(values: Floats, effect: float = 1.0) -> tuple[float, float]:
    """The 95% interval of a mean of values from 0 to 1 over prompts: cut to 0 and 1, and never of width 0.

    The normal interval with two prompts of 0 and two of 1 added (Agresti & Coull 1998, The American
    Statistician 52:119, whose proportions are means here): that none of these was solved does not say that
    none can be.
    """
    if values.size == 0:
        raise ValueError("a mean needs at least one prompt")
    mean, more = float(values.mean()), np.append(values, [0.0, 0.0, 1.0, 1.0])
    half = Z * float(more.std(ddof=1)) * math.sqrt(effect / more.size)
    centre = float(more.mean())
    return max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


def _one(n: int, c: int, k: int) -> float:
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))
