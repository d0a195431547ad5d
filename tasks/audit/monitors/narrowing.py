"""Narrowing: does the policy still write many different answers?

Distinct reasoning paths (Yuan et al. 2023), distinct n-grams for n = 1..4 (Li et al. 2016) and the
compression ratio (Shaib et al. 2024; higher is more repetitive). Texts are sampled to a fixed number,
because distinct n-grams and compression both depend on how much text there is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import polars as pl

from tasks.audit.reading import Answers, Reading, below

MONITOR = "narrowing"
TEXTS = 2000  # answers read for n-grams and compression; fewer where a round has fewer
WARN, STOP = 0.6, 0.25  # shares of the baseline: see docs/lab.md for what a healthy loop does


def readings(now: Answers, baselines: Sequence[Answers]) -> list[Reading]:
    """Every metric of this round, compared with each baseline round (this round alone: no baseline)."""
    result: list[Reading] = []
    for name, value in measures(now).items():
        if not baselines:
            result.append(Reading(MONITOR, name, value))
        for then in baselines:
            baseline = measures(then)[name]
            if name == "compression_ratio":  # the one that should not rise: compared by its inverse
                inverse = below(MONITOR, name, 1 / value, then, 1 / baseline, warn=WARN, stop=STOP)
                result.append(_upright(inverse))
            else:
                result.append(below(MONITOR, name, value, then, baseline, warn=WARN, stop=STOP))
    return result


def measures(answers: Answers) -> dict[str, float]:
    """The metrics by name; empty where a round has no answer."""
    if answers.frame.is_empty():
        return {}
    texts = sampled_texts(answers.frame)
    metrics = {"distinct_paths": distinct_paths(answers.frame), "compression_ratio": compression_ratio(texts)}
    for n in range(1, 5):
        metrics[f"distinct_{n}grams"] = distinct_ngrams(texts, n)
    return metrics


def distinct_paths(frame: pl.DataFrame) -> float:
    """Distinct equation lists of right answers whose equations hold, per question asked."""
    right = frame.filter((pl.col("outcome") == "pass") & pl.col("holds"))
    paths = right.select("prompt_id", pl.col("path").list.join("\n")).n_unique() if right.height else 0
    return paths / frame["prompt_id"].n_unique()


def distinct_ngrams(texts: Sequence[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams, 0 to 1."""
    words = pl.DataFrame({"text": texts}).select(pl.col("text").str.split(" "), row=pl.int_range(pl.len()))
    words = words.explode("text")
    grams = words.select(
        pl.concat_str(
            [pl.col("text").shift(-i).over("row") for i in range(n)], separator=" ", ignore_nulls=False
        )
    ).drop_nulls()
    return grams.n_unique() / grams.height if grams.height else 0.0


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes before over bytes after zlib, level 6."""
    data = "\n".join(texts).encode()
    return len(data) / len(zlib.compress(data, 6)) if data else 1.0


def sampled_texts(frame: pl.DataFrame) -> list[str]:
    """At most `TEXTS` answers, chosen by id and so the same ones every time, one a prompt first."""
    first = frame.sort("sample_index", "prompt_id").head(TEXTS)
    return first["text"].to_list()


def _upright(inverse: Reading) -> Reading:
    return Reading(
        inverse.monitor,
        inverse.metric,
        _inverse(inverse.value),
        baseline=_inverse(inverse.baseline),
        against=inverse.against,
        threshold=_inverse(inverse.threshold),
        verdict=inverse.verdict,
    )


def _inverse(value: float | None) -> float | None:
    return 1 / value if value else None
