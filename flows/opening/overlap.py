"""Which training prompts of a file are almost held-out ones, by the rule that holds for invented prompts."""

from __future__ import annotations

import polars as pl

from tasks.filter.held_out import HeldOut
from tasks.models.conversation import prompts_of, spoken_text

SHOWN = 3  # examples
_LONGEST = 100  # characters of an example

_ROWS = pl.Schema({"share": pl.Float64, "with": pl.String, "span": pl.String})


def overlaps(training: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """For each training prompt: share, with (a held-out prompt's source and line) and span, the longest
    stretch of words that both hold. Null where no more than `held_out.MOST` is shared.
    """
    names = [f"{source}:{line}" for source, line in held_out.select("source", "line").iter_rows()]
    index = HeldOut(names, [spoken_text(one) for one in prompts_of(held_out)])
    near = (index.near(spoken_text(one)) for one in prompts_of(training))
    rows = [(one.share, one.prompt, one.span) if one else (None, None, None) for one in near]
    return pl.DataFrame(rows, schema=_ROWS, orient="row")


def refusals(rows: pl.DataFrame) -> pl.Series:
    """Why each training prompt is not to be trained on, null where it is apart from all held-out ones."""
    return rows.select(
        refusal=pl.format(
            "overlaps held-out {} ({}% of words): {}",
            "with",
            (100 * pl.col("share")).round(0).cast(pl.Int64),
            pl.col("span").str.slice(0, _LONGEST),
        )
    )["refusal"]


def near_remark(training: pl.DataFrame, rows: pl.DataFrame, dropped: bool) -> str | None:
    """What a user is to know of the overlaps, with examples; None where there are none."""
    near = training.select("source", "line").hstack(rows).drop_nulls("share")
    if near.is_empty():
        return None
    examples = "; ".join(
        f"{row['source']}:{row['line']} and {row['with']} share {row['span'][:_LONGEST]!r}"
        for row in near.sort("share", descending=True, maintain_order=True).head(SHOWN).to_dicts()
    )
    outcome = "left out" if dropped else "trained on all the same: prompts.overlap=drop leaves them out"
    return (
        f"{near.height:,} of {training.height:,} training prompts share more than half of their words, or "
        f"of a held-out prompt's, with one, in runs of eight; they are {outcome} ({examples})"
    )
