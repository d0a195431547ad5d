"""Keeps invented prompts that are like none before them: Self-Instruct's rule (Wang et al. 2022, arXiv
2212.10560), by which a prompt is dropped whose ROUGE-L F with any kept one is above 0.7.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tasks.filter.decision import decide
from tasks.filter.rouge import Nearest, Texts


class Earlier:
    """All prompts of a loop so far (ids and texts), in the order in which they came."""

    def __init__(self) -> None:
        self._parts: list[tuple[list[str], Texts]] = []

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Add prompts, which come after all that are known."""
        if texts:
            self._parts.append((list(ids), Texts(texts)))

    def nearest(self, text: str) -> tuple[float, str | None]:
        """The F of the prompt most like a text, and its id; the first of several, none where F is 0."""
        best: tuple[float, str | None] = (0.0, None)
        for ids, texts in self._parts:
            found = texts.nearest(text)
            if found is not None and found.f > best[0]:
                best = found.f, ids[found.place]
        return best


def novel(frame: pl.DataFrame, earlier: Earlier, most: float) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA), in the frame's order: a text meets all earlier prompts, and those of
    the frame that were kept before it. The value is the F of the nearest; where that is above `most`,
    `duplicate_of` is the prompt's id, or the candidate's of this frame.
    """
    ids, own = frame["candidate_id"].to_list(), Texts(frame["text"].to_list())
    kept = np.zeros(frame.height, dtype=np.bool_)
    found: list[tuple[float, str | None]] = []
    for place, text in enumerate(frame["text"]):
        value, nearest = earlier.nearest(text)
        twin: Nearest | None = own.nearest(text, kept)
        if twin is not None and twin.f > value:
            value, nearest = twin.f, ids[twin.place]
        kept[place] = value <= most
        found.append((value, nearest))
    marked = frame.with_columns(
        pl.Series("f", [value for value, _ in found], dtype=pl.Float64),
        pl.Series("nearest", [one for _, one in found], dtype=pl.String),
    )
    like = pl.col("f") > most
    return decide(
        marked,
        "novel",
        pl.when(like).then(pl.lit("like an earlier prompt")),
        value=pl.col("f"),
        duplicate_of=pl.when(like).then(pl.col("nearest")),
    )
