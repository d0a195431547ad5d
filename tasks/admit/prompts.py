"""Admission: prompts enter a loop as facts, with their source and their reference.

Files are read by reading.py; apart.py says which records are prompts and which are refused.
"""

from __future__ import annotations

import polars as pl

from schemas.identity import demonstration_id, prompt_id
from schemas.ids import digest
from tasks.admit.reading import ASIDE


def split_off(prompts: pl.DataFrame, count: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out prompts of one file: `count` of them, but at most a fifth, are held out.

    Chosen by a hash of seed and text; every line with a held-out text is kept from training.
    """
    texts = prompts["text"].unique(maintain_order=True)
    order = sorted(texts, key=lambda text: digest(("held-out", seed, text)))
    held_out = order[: min(count, len(order) // 5)]
    chosen = pl.col("text").is_in(held_out)
    evaluation = _once(prompts.filter(chosen))
    return prompts.filter(~chosen), evaluation


def without(prompts: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """Prompts whose text, case and spaces aside, is not one of the held-out ones."""
    return prompts.join(
        held_out.select(_plain().alias("plain")).unique(), left_on=_plain(), right_on="plain", how="anti"
    )


def prompt_rows(prompts: pl.DataFrame, split: str, loop: str, round_number: int) -> pl.DataFrame:
    """Rows of table `prompts`. Ids cover loop, split, source, line, text and messages; a prompt is admitted
    once, a refused record as often as it was there.
    """
    rows = (_distinct(prompts) if split == "refused" else _once(prompts)).drop(*ASIDE, "part", strict=False)
    formats = rows["format"] if "format" in rows.columns else [None] * rows.height
    keys = rows.select("source", "line", "text", "messages").iter_rows()
    ids = [
        prompt_id(round_number, loop, split, source, line, text, messages, format_)
        for (source, line, text, messages), format_ in zip(keys, formats, strict=True)
    ]
    with_ids = rows.with_columns(pl.Series("prompt_id", ids, dtype=pl.String), pl.lit(split).alias("split"))
    return with_ids.unique("prompt_id", keep="first", maintain_order=True)


def draw_prompts(prompts: pl.DataFrame, count: int | None, seed: int, round_number: int) -> pl.DataFrame:
    """`count` training prompts of a round (None: all), another draw in every round, in order of id."""
    if count is None or count >= prompts.height:
        return prompts.sort("prompt_id")
    order = [
        digest(("draw", seed, round_number, text, *([] if messages is None else [messages])))
        for text, messages in _distinct(prompts).select("text", "messages").iter_rows()
    ]
    chosen = prompts.with_columns(pl.Series("order", order)).sort("order").head(count)
    return chosen.drop("order").sort("prompt_id")


def demonstration_rows(demonstrations: pl.DataFrame, prompts: pl.DataFrame, loop: str) -> pl.DataFrame:
    """Rows of table `candidates` for a seed set's responses (columns text, response) to its `prompts`."""
    responses = _once(demonstrations).select("text", "messages", "response")
    rows = prompts.join(responses, on=["text", "messages"], nulls_equal=True)
    ids = [demonstration_id(0, loop, prompt) for prompt in rows["prompt_id"]]
    return given_rows(rows, "demonstration", ids, "response")


def given_rows(prompts: pl.DataFrame, kind: str, ids: list[str], text: str) -> pl.DataFrame:
    """Rows of table `candidates` for texts that were given and not sampled (column `text`), one a prompt."""
    return prompts.select(
        pl.Series("candidate_id", ids, dtype=pl.String),
        "prompt_id",
        pl.lit(kind).alias("kind"),
        "split",
        pl.lit(0).alias("sample_index"),
        pl.col(text).alias("text"),
    )


def _distinct(prompts: pl.DataFrame) -> pl.DataFrame:
    """Prompts with a column `messages`, null where they have none."""
    if "messages" in prompts.columns:
        return prompts
    return prompts.with_columns(pl.lit(None, pl.String).alias("messages"))


def _once(prompts: pl.DataFrame) -> pl.DataFrame:
    """Each prompt once, where it comes first: a conversation is not the text that it is written as."""
    return _distinct(prompts).unique(["text", "messages"], keep="first", maintain_order=True)


def _plain() -> pl.Expr:
    return pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
