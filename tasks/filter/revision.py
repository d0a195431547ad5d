"""Which critiques can be followed and which revisions can be learned from, each with its reason.

A revision is dropped where it says nothing, holds special tokens, opens by answering the request to revise
(nothing is cut off it: a text on record stays as it was written), refuses everything, repeats the critique,
or changes nothing. Whether it ended by itself and fits a training are filters of all recipes (finished.py,
length.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
from rapidfuzz.distance import LCSseq

from tasks.critique.phrases import opening_of, refuses_everything
from tasks.filter.decision import decide
from tasks.filter.rouge import words


def criticisable(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions on texts (column `unaskable`: why no critique can be asked for; null: it can)."""
    return decide(frame, "criticisable", pl.col("unaskable"))


def criticised(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions on texts by their critiques (columns critique, critique_finish): whole, and not empty."""
    reason = (
        pl.when(pl.col("critique").str.strip_chars() == "")
        .then(pl.lit("its critique is empty"))
        .when(pl.col("critique_finish") == "length")
        .then(pl.lit("its critique was cut off"))
    )
    return decide(frame, "criticised", reason)


def revisable(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions on texts (column `unrevisable`: why no revision can be asked for; null: it can)."""
    return decide(frame, "revisable", pl.col("unrevisable"))


def says_something(frame: pl.DataFrame) -> pl.DataFrame:
    """Drops texts without a letter or a digit."""
    return _by_text(frame, "says_something", "empty", lambda text: not any(map(str.isalnum, text)))


def holds_no_marks(frame: pl.DataFrame, specials: Sequence[str]) -> pl.DataFrame:
    """Drops texts that hold one of the model's own special tokens: it would learn to write them."""
    found = [next((one for one in specials if one in text), None) for text in frame["text"]]
    reasons = [None if one is None else f"holds {one!r}, a mark of the model's own" for one in found]
    marked = frame.with_columns(pl.Series("mark", reasons, dtype=pl.String))
    return decide(marked, "holds_no_marks", pl.col("mark"))


def opens_as_answer(frame: pl.DataFrame, openings: Sequence[str]) -> pl.DataFrame:
    """Drops revisions that begin with one of these phrases: they answer the request, not the prompt."""
    found = [opening_of(text, openings) for text in frame["text"]]
    reasons = [None if one is None else f"begins with {one!r}, as an answer to the request" for one in found]
    marked = frame.with_columns(pl.Series("opening", reasons, dtype=pl.String))
    return decide(marked, "opens_as_answer", pl.col("opening"))


def refuses(frame: pl.DataFrame, refusals: Sequence[str]) -> pl.DataFrame:
    """Drops texts of which every sentence refuses."""
    return _by_text(frame, "refuses", "refuses everything", lambda text: refuses_everything(text, refusals))


def repeats_critique(frame: pl.DataFrame, most: float) -> pl.DataFrame:
    """Drops revisions (columns text, critique) that are their critique once more, by the order of their
    words.

    The value is their ROUGE-L F, which must be under `most`.
    """
    pairs = zip(frame["text"], frame["critique"], strict=True)
    values = pl.Series("f", [_rouge_f(text, critique) for text, critique in pairs], dtype=pl.Float64)
    reason = pl.when(pl.col("f") >= most).then(pl.lit("repeats its critique"))
    return decide(frame.with_columns(values), "repeats_critique", reason, value=pl.col("f"))


def changes_something(frame: pl.DataFrame) -> pl.DataFrame:
    """Drops revisions (columns text, revised) that say word for word what they revise."""
    text, revised = (
        pl.col(name).str.replace_all(r"\s+", " ").str.strip_chars() for name in ("text", "revised")
    )
    reason = pl.when(text == revised).then(pl.lit("changes nothing"))
    return decide(frame, "changes_something", reason)


def last_revision(frame: pl.DataFrame) -> pl.DataFrame:
    """Keeps the last revision (columns prompt_id, sample_index, revision) of each answer."""
    last = pl.col("candidate_id").sort_by("revision").last().over("prompt_id", "sample_index")
    marked = frame.with_columns(last.alias("last"))
    other = pl.col("last") != pl.col("candidate_id")
    return decide(
        marked,
        "last_revision",
        pl.when(other).then(pl.lit("revised again")),
        value=pl.col("revision"),
        duplicate_of=pl.when(other).then(pl.col("last")),
    )


def _by_text(frame: pl.DataFrame, name: str, reason: str, drops: Callable[[str], bool]) -> pl.DataFrame:
    marks = pl.Series("drops", [drops(text) for text in frame["text"]], dtype=pl.Boolean)
    return decide(frame.with_columns(marks), name, pl.when(pl.col("drops")).then(pl.lit(reason)))


def _rouge_f(first: str, second: str) -> float:
    one, other = words(first), words(second)
    if not one or not other:
        return 0.0
    return 2 * LCSseq.similarity(one, other) / (len(one) + len(other))
