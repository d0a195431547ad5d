"""Admission: prompts enter a loop as facts, with where they came from and the reference they bring.

A prompt file is JSONL, a record a line in one of the forms of formats.py. An answer with a worked solution
before `####` is also a reference solution, kept as a candidate of its own.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import BadInput, PromptFileError
from schemas.identity import demonstration_id, prompt_id, reference_id
from schemas.ids import digest
from tasks.admit.formats import optional, record_of, text_of
from tasks.models.conversation import Conversation, plain_text, written

SPLITS = ("train", "eval")
MARK = "####"

SOURCED = pl.Schema(
    {
        "source": pl.String,
        "line": pl.Int64,
        "text": pl.String,
        "reference": pl.String,
        "topic": pl.String,
        "difficulty": pl.Int64,
        "messages": pl.String,
        "problem": pl.String,
    }
)
READ = pl.Schema([*SOURCED.items(), ("rejected", pl.String()), ("rejected_dialogue", pl.String())])
"""`rejected` is a worse answer to the prompt; `rejected_dialogue`, JSON of messages, a whole dialogue that
parted from the prompt's before its last answer, and so holds none to it. Neither enters table `prompts`.
"""


def read_prompts(path: Path, further: str | None = None) -> pl.DataFrame:
    """The prompts of a JSONL file (also .gz), in order: columns as `READ`. PromptFileError names a bad line.

    `further` names one more text that every line must have, as a column of that name.
    """
    rows = [
        _row(path, number, line, further)
        for number, line in enumerate(_bytes(path).split(b"\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise PromptFileError(f"prompt file {path} holds no prompt")
    return pl.DataFrame(rows, schema={**READ, **({further: pl.String} if further else {})})


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
    """Rows of table `prompts`. Ids cover loop, source, line, text and messages; a prompt is admitted once."""
    once = _once(prompts).drop("rejected", "rejected_dialogue", strict=False)
    ids = [
        prompt_id(round_number, loop, split, source, line, text, messages)
        for source, line, text, messages in once.select("source", "line", "text", "messages").iter_rows()
    ]
    return once.with_columns(pl.Series("prompt_id", ids, dtype=pl.String), pl.lit(split).alias("split"))


def reference_rows(prompts: pl.DataFrame, loop: str, round_number: int) -> pl.DataFrame:
    """Rows of table `candidates` for the references that show their work, of admitted `prompts`."""
    worked = prompts.filter(
        pl.col("reference").str.split(MARK).list.first().str.strip_chars().str.len_chars() > 0,
        pl.col("reference").str.contains(MARK, literal=True),
    )
    ids = [reference_id(round_number, loop, prompt) for prompt in worked["prompt_id"]]
    return worked.select(
        pl.Series("candidate_id", ids, dtype=pl.String),
        "prompt_id",
        pl.lit("reference").alias("kind"),
        "split",
        pl.lit(0).alias("sample_index"),
        pl.col("reference").alias("text"),
    )


def draw_prompts(prompts: pl.DataFrame, count: int | None, seed: int, round_number: int) -> pl.DataFrame:
    """`count` training prompts of a round (None: all), another draw in every round, in order of id."""
    if count is None or count >= prompts.height:
        return prompts.sort("prompt_id")
    order = [
        digest(("draw", seed, round_number, text, *([] if messages is None else [messages])))
        for text, messages in _distinct(prompts).select("text", "messages").iter_rows()
    ]
    drawn = prompts.with_columns(pl.Series("order", order)).sort("order").head(count)
    return drawn.drop("order").sort("prompt_id")


def demonstration_rows(demonstrated: pl.DataFrame, prompts: pl.DataFrame, loop: str) -> pl.DataFrame:
    """Rows of table `candidates` for a seed set's responses (columns text, response) to its `prompts`."""
    shown = _once(demonstrated).select("text", "messages", "response")
    told = prompts.join(shown, on=["text", "messages"], nulls_equal=True)
    ids = [demonstration_id(0, loop, prompt) for prompt in told["prompt_id"]]
    return told.select(
        pl.Series("candidate_id", ids, dtype=pl.String),
        "prompt_id",
        pl.lit("demonstration").alias("kind"),
        "split",
        pl.lit(0).alias("sample_index"),
        pl.col("response").alias("text"),
    )


def _row(path: Path, number: int, line: bytes, further: str | None) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PromptFileError(f"{path}, line {number}: not JSON ({_first(error)})") from None
    if not isinstance(value, dict):
        raise PromptFileError(f"{path}, line {number}: an object is needed, not {type(value).__name__}")
    try:
        more = {further: text_of(value, further)} if further else {}
        record = record_of(value)
        topic, difficulty = optional(value, "topic", str), optional(value, "difficulty", int)
        problem = optional(value, "problem", str)
    except BadInput as error:
        raise PromptFileError(f"{path}, line {number}: {error}") from None
    return {
        **more,
        "source": path.name,
        "line": number,
        "text": plain_text(record.prompt),
        "reference": record.reference,
        "topic": topic,
        "difficulty": difficulty,
        "messages": record.prompt.json if isinstance(record.prompt, Conversation) else None,
        "problem": problem,
        "rejected": record.rejected,
        "rejected_dialogue": written(record.parted) if record.parted else None,
    }


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (EOFError, zlib.error) as error:
        raise PromptFileError(f"prompt file {path}: {_first(error)}") from None
    except OSError as error:  # a file that is no gzip is one too
        raise PromptFileError(f"prompt file {path}: {error.strerror or _first(error)}") from None


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


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
