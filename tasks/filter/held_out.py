"""Drops invented prompts that overlap a held-out one, so that no loop trains on what it is measured by.

The rule is Tülu 3's (Lambert et al. 2024, arXiv 2411.15124): more than half of a prompt's words stand in
runs of eight that it shares with one held-out prompt. Words are those of rouge.py. A prompt of the very same
words overlaps whatever its length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import polars as pl

from tasks.filter.decision import decide
from tasks.filter.rouge import words

RUN = 8  # words
MOST = 0.5  # share of a prompt's words

Run = tuple[str, ...]


class HeldOut:
    """The held-out prompts of a loop (ids and texts), indexed by their runs of words."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        self._whole: dict[Run, str] = {}
        self._runs: dict[Run, set[str]] = defaultdict(set)
        for prompt, text in zip(ids, texts, strict=True):
            told = tuple(words(text))
            self._whole.setdefault(told, prompt)
            for _, run in _runs(told):
                self._runs[run].add(prompt)

    def overlap(self, text: str) -> tuple[float, str | None]:
        """The largest share of a text's words in runs shared with one held-out prompt, and its id."""
        told = tuple(words(text))
        if told in self._whole:
            return 1.0, self._whole[told]
        shared: dict[str, set[int]] = defaultdict(set)
        for place, run in _runs(told):
            for prompt in self._runs.get(run, ()):
                shared[prompt].update(range(place, place + RUN))
        counted = sorted((-len(places), prompt) for prompt, places in shared.items())
        return (-counted[0][0] / len(told), counted[0][1]) if counted else (0.0, None)


def held_out(frame: pl.DataFrame, known: HeldOut) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the value is the overlap, `duplicate_of` the held-out prompt."""
    found = [known.overlap(text) for text in frame["text"]]
    marked = frame.with_columns(
        pl.Series("overlap", [share for share, _ in found], dtype=pl.Float64),
        pl.Series("nearest", [prompt for _, prompt in found], dtype=pl.String),
    )
    over = pl.col("overlap") > MOST
    return decide(
        marked,
        "held_out",
        pl.when(over).then(pl.lit("overlaps a held-out prompt")),
        value=pl.col("overlap"),
        duplicate_of=pl.when(over).then(pl.col("nearest")),
    )


def _runs(told: Run) -> Iterator[tuple[int, Run]]:
    """Every run of `RUN` words with its place."""
    return ((place, told[place : place + RUN]) for place in range(len(told) - RUN + 1))
