"""Admission: prompts enter a loop as facts, with where they came from and the reference they bring.

A prompt file is JSONL with `question` and `answer` (GSM8K's own files as they are). An answer with a
worked solution before `####` is also a reference solution, kept as a candidate of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import PromptFileError
from schemas.identity import demonstration_id, prompt_id, reference_id
from schemas.ids import digest

SPLITS = ("train", "eval")
MARK = "####"
LONGEST = 200_000  # characters of a question or an answer; longer ones are no prompts

SOURCED = pl.Schema(
    {
        "source": pl.String,
        "line": pl.Int64,
        "text": pl.String,
        "reference": pl.String,
        "topic": pl.String,
        "difficulty": pl.Int64,
    }
)


def read_prompts(path: Path, further: str | None = None) -> pl.DataFrame:
    """The prompts of a JSONL file, in order: columns as `SOURCED`. PromptFileError names a bad line.

    `further` names one more text that every line must have, as a column of that name.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptFileError(f"prompt file {path}: {error.strerror}") from None
    rows = [
        _row(path, number, line, further)
        for number, line in enumerate(data.split(b"\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise PromptFileError(f"prompt file {path} holds no prompt")
    return pl.DataFrame(rows, schema={**SOURCED, **({further: pl.String} if further else {})})


def split_off(prompts: pl.DataFrame, count: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out prompts of one file: `count` of them, but at most a fifth, are held out.

    Chosen by a hash of seed and text; every line with a held-out text is kept from training.
    """
    texts = prompts["text"].unique(maintain_order=True)
    order = sorted(texts, key=lambda text: digest(("held-out", seed, text)))
    held_out = order[: min(count, len(order) // 5)]
    chosen = pl.col("text").is_in(held_out)
    evaluation = prompts.filter(chosen).unique("text", keep="first", maintain_order=True)
    return prompts.filter(~chosen), evaluation


def without(prompts: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """Prompts whose text, case and spaces aside, is not one of the held-out ones."""
    return prompts.join(
        held_out.select(_plain().alias("plain")).unique(), left_on=_plain(), right_on="plain", how="anti"
    )


def prompt_rows(prompts: pl.DataFrame, split: str, loop: str, round_number: int) -> pl.DataFrame:
    """Rows of table `prompts`. Ids cover loop, source, line and text; a text is admitted once."""
    once = prompts.unique("text", keep="first", maintain_order=True)
    ids = [
        prompt_id(round_number, loop, split, source, line, text)
        for source, line, text in once.select("source", "line", "text").iter_rows()
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


def draw(prompts: pl.DataFrame, count: int | None, seed: int, round_number: int) -> pl.DataFrame:
    """`count` training prompts of a round (None: all), another draw in every round, in order of id."""
    if count is None or count >= prompts.height:
        return prompts.sort("prompt_id")
    order = [digest(("draw", seed, round_number, text)) for text in prompts["text"]]
    drawn = prompts.with_columns(pl.Series("order", order)).sort("order").head(count)
    return drawn.drop("order").sort("prompt_id")


def demonstration_rows(demonstrated: pl.DataFrame, prompts: pl.DataFrame, loop: str) -> pl.DataFrame:
    """Rows of table `candidates` for a seed set's responses (columns text, response) to its `prompts`."""
    told = prompts.join(demonstrated.select("text", "response").unique("text", keep="first"), on="text")
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
    more = {further: _text(path, number, value, further)} if further else {}
    return {
        **more,
        "source": path.name,
        "line": number,
        "text": _text(path, number, value, "question"),
        "reference": _text(path, number, value, "answer"),
        "topic": _optional(path, number, value, "topic", str),
        "difficulty": _optional(path, number, value, "difficulty", int),
    }


def _text(path: Path, number: int, value: dict[str, Any], key: str) -> str:
    if key not in value:
        raise PromptFileError(f"{path}, line {number}: no {key!r}")
    text = value[key]
    if not isinstance(text, str) or not text.strip():
        raise PromptFileError(f"{path}, line {number}: {key!r} must be a text that is not empty")
    if len(text) > LONGEST:
        raise PromptFileError(f"{path}, line {number}: {key!r} is longer than {LONGEST:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PromptFileError(f"{path}, line {number}: {key!r} is not valid Unicode") from None
    return text


def _optional(path: Path, number: int, value: dict[str, Any], key: str, kind: type) -> Any:
    found = value.get(key)
    if found is None or (isinstance(found, kind) and not isinstance(found, bool)):
        if isinstance(found, str):
            return _text(path, number, value, key)
        if isinstance(found, int) and abs(found) >= 2**63:
            raise PromptFileError(f"{path}, line {number}: {key!r} is out of range")
        return found
    raise PromptFileError(f"{path}, line {number}: {key!r} must be {kind.__name__}")


def _plain() -> pl.Expr:
    return pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
