"""Keeps one candidate per prompt and reasoning path; of those that share a path, the one farthest from the
other kept texts (the Levenshtein rule of rejection-sampling fine-tuning, Yuan et al. 2023, arXiv 2308.01825).

The rule, made definite: a path of one candidate keeps it. The shared paths then follow in the order of their
smallest candidate id, and each keeps the text whose mean distance to all texts kept so far is largest
(the smallest id on a tie). The outcome does not depend on the order of rows. Candidates without any
equation share the empty path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import polars as pl
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from tasks.filter.decision import decide, path_keys

# Bounds per prompt, far above what a round makes: beyond them the comparison takes the first.
MOST_COMPARED = 32  # texts on either side of a comparison
LONGEST_COMPARED = 2000  # characters of a text

_CHOSEN = pl.Schema({"candidate_id": pl.String, "duplicate_of": pl.String, "value": pl.Float64})


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which of several candidates of one path is kept, and how far each compared one was (characters)."""

    candidate: str
    distances: dict[str, float]


def distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the value is the mean Levenshtein distance in characters to the
    prompt's other kept texts, where it was needed.
    """
    keyed = frame.with_columns(path=path_keys(frame), text=pl.col("text").fill_null(""))
    chosen = pl.DataFrame(_duplicates(keyed), schema=_CHOSEN, orient="row")
    marked = keyed.join(chosen, on="candidate_id", how="left", maintain_order="left")
    reason = pl.when(pl.col("duplicate_of").is_not_null()).then(pl.lit("duplicate"))
    return decide(marked, "distinct", reason, value=pl.col("value"), duplicate_of=pl.col("duplicate_of"))


def _duplicates(keyed: pl.DataFrame) -> Iterator[tuple[str, str | None, float | None]]:
    """Candidate, the one kept in its place and its distance, for every path that several share."""
    shared = pl.len().over("prompt_id", "path") > 1
    crowded = (
        keyed.with_columns(shared=shared)
        .filter(pl.col("shared").any().over("prompt_id"))
        .select("prompt_id", "path", "candidate_id", "text")
        .sort("prompt_id", "candidate_id")
    )
    for _, prompt in groupby(crowded.iter_rows(), key=itemgetter(0)):
        yield from _of_prompt(prompt)


def _of_prompt(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[tuple[str, str | None, float | None]]:
    """The same for one prompt's rows (prompt, path, candidate, text), sorted by candidate."""
    paths: dict[str, dict[str, str]] = {}
    for _, path, candidate, text in rows:
        paths.setdefault(path, {})[candidate] = text
    selection = [text for texts in paths.values() if len(texts) == 1 for text in texts.values()]
    for texts in paths.values():
        if len(texts) == 1:
            continue
        choice = _farthest(texts, selection)
        selection.append(texts[choice.candidate])
        for candidate in texts:
            duplicate_of = None if candidate == choice.candidate else choice.candidate
            yield candidate, duplicate_of, choice.distances.get(candidate)


def _farthest(texts: dict[str, str], selection: list[str]) -> _Choice:
    """The candidate farthest from the texts kept so far; the first where there are none."""
    first_with = {text: candidate for candidate, text in reversed(texts.items())}
    compared = sorted(first_with.values())[:MOST_COMPARED]
    if len(compared) == 1 or not selection:
        return _Choice(next(iter(texts)), {})
    distances = cdist(
        [texts[candidate][:LONGEST_COMPARED] for candidate in compared],
        [text[:LONGEST_COMPARED] for text in selection[:MOST_COMPARED]],
        scorer=Levenshtein.distance,
    ).mean(axis=1)
    return _Choice(compared[int(distances.argmax())], dict(zip(compared, distances.tolist(), strict=True)))
