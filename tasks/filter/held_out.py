"""Drops invented prompts that overlap a held-out one, so that no loop trains on what it is measured by.

The rule is Tülu 3's (Lambert et al. 2024, arXiv 2411.15124), both ways: more than half of the words of the
prompt, or of a held-out one, stand in runs of eight that the two share. A held-out prompt of fewer words is
one run, if it has at least four; one of the very same words overlaps whatever its length. Words are those of
rouge.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import polars as pl

from tasks.filter.decision import decide
from tasks.filter.rouge import words

RUN = 8  # words
LEAST = 4  # words of the shortest held-out prompt that is looked for inside others
MOST = 0.5  # share of a prompt's words

Run = tuple[str, ...]


class HeldOut:
    """The held-out prompts of a loop (ids and texts), indexed by their runs of words."""

    def __init__(self, ids: Iterable[str], texts: Iterable[str]) -> None:
        self._whole: dict[Run, str] = {}
        self._words: dict[str, int] = {}
        self._runs: dict[Run, list[tuple[str, int]]] = defaultdict(list)
        for prompt, text in zip(ids, texts, strict=True):
            told = tuple(words(text))
            self._whole.setdefault(told, prompt)
            self._words[prompt] = len(told)
            if len(told) >= LEAST:
                for place, run in _runs(told, min(RUN, len(told))):
                    self._runs[run].append((prompt, place))
        self._lengths = sorted({len(run) for run in self._runs})

    def overlap(self, text: str) -> tuple[float, str | None]:
        """The larger share of words, of the text or of a held-out prompt, in runs they share; its id."""
        told = tuple(words(text))
        if told in self._whole:
            return 1.0, self._whole[told]
        ours: dict[str, set[int]] = defaultdict(set)
        theirs: dict[str, set[int]] = defaultdict(set)
        for length in self._lengths:
            for place, run in _runs(told, length):
                for prompt, there in self._runs.get(run, ()):
                    ours[prompt].update(range(place, place + length))
                    theirs[prompt].update(range(there, there + length))
        shares = [
            (-max(len(ours[one]) / len(told), len(theirs[one]) / self._words[one]), one) for one in ours
        ]
        return (-min(shares)[0], min(shares)[1]) if shares else (0.0, None)


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


def _runs(told: Run, length: int) -> Iterator[tuple[int, Run]]:
    """Every run of `length` words with its place."""
    return ((place, told[place : place + length]) for place in range(len(told) - length + 1))
