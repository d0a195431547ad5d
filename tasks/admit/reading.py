"""A file or folder of prompts as one frame: the columns recognised, every record, and the refusals."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import BadInput, PromptFileError
from schemas.recipes.columns import Named
from tasks.admit.columns import KNOWN, Layout
from tasks.admit.files import MOST_RECORDS, Row, text_format, text_rows
from tasks.admit.folders import Split, parts_of
from tasks.admit.formats import EMPTY, Record, record_of
from tasks.admit.tables import table_columns, table_format, table_rows
from tasks.admit.values import text_of
from tasks.models.conversation import Conversation, messages_json, plain_text

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
ASIDE = ("rejected", "rejected_dialogue", "solution", "probability")
READ = pl.Schema(
    [
        *SOURCED.items(),
        *((name, pl.String()) for name in (*ASIDE[:3], "format", "refusal")),
        ("probability", pl.Float64()),
    ]
)
"""`rejected` is a worse answer to the prompt, `probability` that of the reference being better (null: not
said); `rejected_dialogue`, JSON of messages, a whole dialogue that parted from the prompt's before its last
answer, and so holds none to it; `solution` a worked solution beside the reference. None of these (`ASIDE`)
enters table `prompts`. `refusal` says why a record is no prompt.
"""
_UNREAD = 40  # names of columns that are kept to be told


@dataclass(frozen=True)
class PromptFile:
    """What was read: every record in order (columns as `READ`), by which columns, and what was left unread.

    `name` is what its prompts carry as their source; `splits` are those beside the one that was read.
    """

    path: Path
    name: str
    format: str
    rows: pl.DataFrame
    layouts: tuple[Layout, ...]
    unread: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Role to column, as recognised; columns of several kinds of records are joined by "or"."""
        roles: dict[str, dict[str, None]] = {}
        for layout in self.layouts:
            for role, column in layout.read.items():
                roles.setdefault(role, {})[column] = None
        return {role: " or ".join(columns) for role, columns in roles.items()}


def read_file(
    path: Path, split: Split = "train", columns: Named = (), further: str | None = None
) -> PromptFile:
    """The prompts of a file or folder; PromptFileError names what cannot be read, and where.

    `further` names one more text that every record must have, as a column of that name.
    """
    parts = parts_of(path, split)
    names = KNOWN | {column for _, column in columns} | ({further} if further else set())
    rows: list[dict[str, Any]] = []
    layouts: dict[Layout, None] = {}
    unread: dict[str, None] = {}
    formats = []
    for file in parts.files:
        format_ = table_format(file) or text_format(file)
        formats.append(format_)
        column = "folder" if parts.folder else None if format_ == "jsonl" else format_
        if format_ in ("parquet", "arrow"):
            unread |= dict.fromkeys(one for one in table_columns(file, format_) if one not in names)
        for row in _rows(file, format_, names):
            more, record, layout = _record(file, row, columns, further)
            layouts[layout] = None
            if len(unread) < _UNREAD:
                used = layout.read.values()
                unread |= dict.fromkeys(key for key in row.value if key not in used and key != further)
            number = len(rows) + 1 if parts.folder else row.number
            rows.append(more | _columns(parts.name, number, record) | {"format": column})
            if len(rows) > MOST_RECORDS:
                raise PromptFileError(f"prompt folder {path}: more than {MOST_RECORDS:,} records")
    if not rows:
        raise PromptFileError(f"prompt file {path} holds no prompt")
    frame = pl.DataFrame(rows, schema={**READ, **({further: pl.String} if further else {})})
    if frame["refusal"].null_count() == 0:
        refuse_unsound(path, frame)
    unread_names = tuple(list(unread)[:_UNREAD])
    return PromptFile(path, parts.name, formats[0], frame, tuple(layouts), unread_names, parts.others)


def read_prompts(path: Path, further: str | None = None) -> pl.DataFrame:
    """The records of a file or folder in order; PromptFileError names the first that asks nothing, or lacks
    the answer that its form has.
    """
    rows = read_file(path, further=further).rows
    refuse_unsound(path, rows)
    return rows


def refuse_unsound(path: Path, rows: pl.DataFrame) -> None:
    """PromptFileError names the first record that is no prompt."""
    first = rows.filter(pl.col("refusal").is_not_null()).head(1)
    for place, reason in zip(places(first), first["refusal"], strict=True):
        what = "the question" if reason == EMPTY else "the answer"
        raise PromptFileError(f"{path}, {place}: {what} must be a text that is not empty")


def places(rows: pl.DataFrame) -> list[str]:
    """Where records stand in their file, as people find them: a line of JSON lines, else their number."""
    formats = rows["format"] if "format" in rows.columns else [None] * rows.height
    words = zip(rows["line"], formats, strict=True)
    return [f"line {number}" if kind is None else f"record {number}" for number, kind in words]


def _rows(file: Path, format_: str, names: Collection[str]) -> Iterator[Row]:
    return table_rows(file, format_, names) if format_ in ("parquet", "arrow") else text_rows(file, format_)


def _record(
    file: Path, row: Row, columns: Named, further: str | None
) -> tuple[dict[str, Any], Record, Layout]:
    if not isinstance(row.value, dict):
        raise PromptFileError(f"{file}, {row.place}: an object is needed, not {type(row.value).__name__}")
    try:
        more = {further: text_of(row.value, further)} if further else {}
        return more, *record_of(row.value, columns)
    except BadInput as error:
        raise PromptFileError(f"{file}, {row.place}: {error}") from None


def _columns(source: str, number: int, record: Record) -> dict[str, Any]:
    return {
        "source": source,
        "line": number,
        "text": plain_text(record.prompt),
        "reference": record.reference,
        "topic": record.topic,
        "difficulty": record.difficulty,
        "messages": record.prompt.json if isinstance(record.prompt, Conversation) else None,
        "problem": record.problem,
        "rejected": record.rejected,
        "rejected_dialogue": messages_json(record.parted) if record.parted else None,
        "solution": record.solution,
        "probability": record.probability,
        "refusal": record.refusal,
    }
