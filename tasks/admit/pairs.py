"""Pairs of answers from files: which are pairs, which are held out, and their rows of the log.

People's preferences come as prompts, two candidates of kind `demonstration` to each pair, and a row of
`preferences` with where it stands in its file (`source`) and no judge. Several pairs may be about one prompt.
Dialogues that begin alike are of one start: all their pairs are held out, or none.
"""

from __future__ import annotations

import polars as pl

from schemas.identity import demonstration_id, preference_id
from schemas.ids import digest
from schemas.tables import CANDIDATES, PREFERENCES
from tasks.admit.apart import CONFLICT, DUPLICATE, NO_PAIR, PARTED, SAME_ANSWER, Halves
from tasks.admit.reading import places
from tasks.models.conversation import messages_of, prompts_of

KEY = ["text", "messages"]


def sound_pairs(rows: pl.DataFrame) -> Halves:
    """Records that are pairs, each once, and the refused ones with their reasons.

    A pair that stands there again is a duplicate; where it stands there the other way about as well, nobody
    knows which is better: both are refused.
    """
    asking, refused = rows.filter(pl.col("refusal").is_null()), [rows.filter(pl.col("refusal").is_not_null())]
    reason = (
        pl.when(pl.col("rejected_dialogue").is_not_null())
        .then(pl.lit(PARTED))
        .when(pl.col("rejected").is_null() | pl.col("reference").is_null())
        .then(pl.lit(NO_PAIR))
        .when(pl.col("rejected") == pl.col("reference"))
        .then(pl.lit(SAME_ANSWER))
    )
    marked = asking.with_columns(refusal=reason)
    both = [*KEY, "lesser", "greater"]
    ways = marked.filter(pl.col("refusal").is_null()).with_columns(
        lesser=pl.min_horizontal("reference", "rejected"), greater=pl.max_horizontal("reference", "rejected")
    )
    ways = ways.with_columns(
        ways=pl.col("reference").n_unique().over(both),
        again=pl.int_range(pl.len()).over(both) > 0,
    )
    conflict, again = pl.col("ways") > 1, pl.col("again")
    judged = ways.with_columns(
        refusal=pl.when(conflict).then(pl.lit(CONFLICT)).when(again).then(pl.lit(DUPLICATE))
    ).drop("lesser", "greater", "ways", "again")
    refused += [
        marked.filter(pl.col("refusal").is_not_null()),
        judged.filter(pl.col("refusal").is_not_null()),
    ]
    return judged.filter(pl.col("refusal").is_null()), pl.concat(refused)


def starts(rows: pl.DataFrame) -> pl.Series:
    """How each record's dialogue begins: the user's first message, case and spaces aside."""
    firsts = [
        next(one.content for one in messages_of(prompt) if one.role == "user") for prompt in prompts_of(rows)
    ]
    return pl.Series("start", [" ".join(text.lower().split()) for text in firsts], dtype=pl.String)


def sample_starts(rows: pl.DataFrame, count: int, seed: int) -> Halves:
    """Whole starts, by a hash of seed and start, with `count` records or the fewest more; and the others."""
    own = starts(rows)
    sizes = dict(own.value_counts().iter_rows())
    chosen, held = set(), 0
    for start in sorted(sizes, key=lambda one: digest(("held-out", seed, one))):
        if held >= count:
            break
        chosen.add(start)
        held += sizes[start]
    inside = own.is_in(list(chosen))
    return rows.filter(inside), rows.filter(~inside)


def apart_from_starts(rows: pl.DataFrame, held_out: pl.DataFrame) -> Halves:
    """Records of other starts than the held-out ones, and those of the same."""
    near = starts(rows).is_in(starts(held_out).unique().to_list())
    return rows.filter(~near), rows.filter(near)


def pair_rows(pairs: pl.DataFrame, prompts: pl.DataFrame, loop: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `candidates` and of `preferences` for a file's pairs, to the rows of `prompts` that they ask.

    A text that stands in several pairs of one prompt is one candidate.
    """
    names = pl.Series("place", places(pairs), dtype=pl.String)
    own = prompts.select("prompt_id", "split", *KEY)
    rows = pairs.with_columns(names).join(own, on=KEY, how="inner", nulls_equal=True, maintain_order="left")
    texts = (
        rows.select("prompt_id", "split", "line", "reference", "rejected")
        .unpivot(["reference", "rejected"], index=["prompt_id", "split", "line"], value_name="text")
        .sort("prompt_id", "line", "variable")
        .unique(["prompt_id", "text"], keep="first", maintain_order=True)
        .with_columns(sample_index=pl.int_range(pl.len()).over("prompt_id"))
    )
    ids = [
        demonstration_id(0, loop, prompt, index)
        for prompt, index in texts.select("prompt_id", "sample_index").iter_rows()
    ]
    texts = texts.with_columns(pl.Series("candidate_id", ids, dtype=pl.String))
    candidates = CANDIDATES.frame(
        texts.select("candidate_id", "prompt_id", "split", "sample_index", "text")
        .with_columns(kind=pl.lit("demonstration"))
        .to_dicts()
    )
    known = texts.select("prompt_id", "text", "candidate_id")
    for side, name in (("reference", "chosen_id"), ("rejected", "rejected_id")):
        theirs = known.rename({"text": side, "candidate_id": name})
        rows = rows.join(theirs, on=["prompt_id", side], how="left", maintain_order="left")
    return candidates, PREFERENCES.frame([_preference(row) for row in rows.to_dicts()])


def _preference(row: dict[str, object]) -> dict[str, object]:
    chosen, rejected = str(row["chosen_id"]), str(row["rejected_id"])
    source = f"{row['source']}, {row['place']}"
    return {
        "preference_id": preference_id(0, chosen, rejected, None, None, source),
        "prompt_id": row["prompt_id"],
        "chosen_id": chosen,
        "rejected_id": rejected,
        "probability": 1.0 if row["probability"] is None else row["probability"],
        "source": source,
    }
