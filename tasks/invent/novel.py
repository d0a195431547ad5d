"""Keeps invented prompts that are like none before them: Self-Instruct's rule (Wang et al. 2022, arXiv
2212.10560), by which a prompt is dropped whose ROUGE-L F with any kept one is above 0.7.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.filter.decision import decide
from tasks.filter.rouge import Texts


class Earlier:
    """All prompts of a loop so far (ids and texts), in the order in which they came."""

    def __init__(self) -> None:
        self._parts: list[tuple[list[str], Texts]] = []

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Add prompts, which come after all that are known."""
        if texts:
            self._parts.append((list(ids), Texts(texts)))

    def nearest(self, texts: Sequence[str]) -> list[tuple[float, str | None]]:
        """For each text, the F of the prompt most like it, and its id; the first of several, none for 0."""
        best: list[tuple[float, str | None]] = [(0.0, None)] * len(texts)
        for ids, part in self._parts:
            for place, match in enumerate(part.nearest(texts)):
                if match is not None and match.f > best[place][0]:
                    best[place] = match.f, ids[match.place]
        return best


def novel(frame: pl.DataFrame, earlier: Earlier, most: float) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA), in the frame's order: a text meets all earlier prompts, and those of
    the frame that were kept before it. The value is the F of the nearest; where that is above `most`,
    `duplicate_of` is the prompt's id, or the candidate's of this frame.
    """
    ids, texts = frame["candidate_id"].to_list(), frame["text"].to_list()
    nearest, within, novel_places = earlier.nearest(texts), Texts(texts).f(texts), list[int]()
    for place in range(frame.height):
        twin = max(novel_places, key=lambda other: within[place, other], default=None)  # the first of several
        if twin is not None and within[place, twin] > nearest[place][0]:
            nearest[place] = float(within[place, twin]), ids[twin]
        if nearest[place][0] <= most:
            novel_places.append(place)
    marked = frame.with_columns(
        pl.Series("f", [value for value, _ in nearest], dtype=pl.Float64),
        pl.Series("nearest", [one for _, one in nearest], dtype=pl.String),
    )
    like = pl.col("f") > most
    return decide(
        marked,
        "novel",
        pl.when(like).then(pl.lit("like an earlier prompt")),
        value=pl.col("f"),
        duplicate_of=pl.when(like).then(pl.col("nearest")),
    )
