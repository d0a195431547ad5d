"""Which records become prompts, which of these are held out, and why the others are refused.

Nothing is dropped: a refused record is admitted with split `refused` and its reason, and never used.
"""

from __future__ import annotations

import polars as pl

from schemas.ids import digest
from tasks.admit.formats import EMPTY, NO_ANSWER
from tasks.admit.references import same_answer

DUPLICATE = "duplicate"
OTHER_ANSWER = "duplicate with another answer"
CONFLICT = "duplicates whose answers conflict"
OVERLAP = "overlaps a held-out prompt"  # word for word, or by flows/opening/overlap.py
NOT_DRAWN = "held out, not drawn"
TOO_LONG = "does not fit the model's context"
MARKS = "holds the model's own marks of a turn"
END = "its answer holds an end of turn"
PARTED = "its two dialogues part before the last answer"
NO_PAIR = "no pair of answers"
SAME_ANSWER = "both answers are the same"
REASONS = (
    *(EMPTY, NO_ANSWER, PARTED, NO_PAIR, SAME_ANSWER, DUPLICATE, OTHER_ANSWER, CONFLICT, OVERLAP),
    *(NOT_DRAWN, MARKS, END, TOO_LONG),
)
"""Why a record is refused, in the order in which it is asked."""

Halves = tuple[pl.DataFrame, pl.DataFrame]


def sound(rows: pl.DataFrame) -> Halves:
    """Records that ask something, each once, and the refused ones with their reasons.

    Of equal prompts with equal answers the first is kept, also where no final answer can be read in either
    (another way to say it). Where final answers conflict, nobody knows which is right: all are refused.
    """
    asking, refused = rows.filter(pl.col("refusal").is_null()), rows.filter(pl.col("refusal").is_not_null())
    numbered = asking.with_row_index("place").with_columns(pl.len().over("text", "messages").alias("count"))
    reasons: dict[int, str] = {}
    several = numbered.filter(pl.col("count") > 1)
    for group in several.partition_by("text", "messages", maintain_order=True):
        reasons |= _of_equal(group)
    refusals = pl.Series("refusal", [reasons.get(place) for place in range(asking.height)], dtype=pl.String)
    records = asking.with_columns(refusals)
    return (
        records.filter(refusals.is_null()),
        pl.concat([refused, records.filter(refusals.is_not_null())]),
    )


def refuse(rows: pl.DataFrame, reason: str) -> pl.DataFrame:
    """The rows, refused for a reason."""
    return rows.with_columns(pl.lit(reason).alias("refusal"))


def sample(prompts: pl.DataFrame, count: int, seed: int) -> Halves:
    """`count` prompts, chosen by a hash of seed and text, and the others; both in order."""
    rows = prompts.select("text", "messages").iter_rows()
    lots = [
        digest(("held-out", seed, text, *([] if messages is None else [messages]))) for text, messages in rows
    ]
    inside = pl.Series("lot", lots, dtype=pl.String).rank("ordinal") <= count
    return prompts.filter(inside), prompts.filter(~inside)


def _of_equal(group: pl.DataFrame) -> dict[int, str]:
    """Place to reason, of records that ask the same."""
    places, references = group["place"].to_list(), group["reference"].to_list()
    first, preferred = references[0] or "", group["rejected"].is_not_null().any()
    agreed = {other: same_answer(first, other or "") for other in dict.fromkeys(references)}
    if any(one is False for one in agreed.values()) and not preferred:
        return dict.fromkeys(places, CONFLICT)
    return {
        place: DUPLICATE if agreed[reference] else OTHER_ANSWER
        for place, reference in zip(places[1:], references[1:], strict=True)
    }
