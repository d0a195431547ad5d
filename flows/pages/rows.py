"""Rows of any query: by line where they are wider than the screen, and as files that other tools read."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from flows.round.progress import printable
from schemas.errors import BadInput
from warehouse.session import Answer

_ID = re.compile(r"[a-z]+-\d{5}-[0-9a-f]{24}")
NARROWEST = 12  # characters that a column of text may be folded to
GAP = 2  # characters between columns


def fits(rows: list[dict[str, Any]], width: int) -> bool:
    """Whether a table of the rows can be read at a width: no id is broken, no text folded to slivers."""
    return sum(_least(name, [row[name] for row in rows]) + GAP for name in rows[0]) <= width


def _least(name: str, values: list[Any]) -> int:
    """The fewest characters that a column needs."""
    texts = ["" if value is None else str(value) for value in values]
    longest = max((len(text) for text in texts), default=0)
    if any(_ID.fullmatch(text) for text in texts):
        return max(longest, min(len(name), NARROWEST))
    return max(min(longest, NARROWEST), min(len(name), NARROWEST))


def rows_by_line(console: Console, rows: list[dict[str, Any]]) -> None:
    """Each value on a line of its own, each row under its number."""
    wide = max(map(len, rows[0]))
    for number, row in enumerate(rows, 1):
        console.print(f"row {number}", style="bold", highlight=False)
        for name, value in row.items():
            text = "" if value is None else printable(str(value)).replace("\n", "\\n")
            console.print(f"  {name:<{wide}}  {text}", markup=False, highlight=False, soft_wrap=True)


def write_rows(answer: Answer, path: Path, limit: int | None = None) -> int:
    """Write an answer's first `limit` rows (None: all) to a file, as its ending says; how many there were.

    The file appears when it is whole; BadInput where its ending is another one or it cannot be written.
    """
    writers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in writers:
        raise BadInput(f"{path}: --to takes a file that ends in {', '.join(writers)}")
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        count = writers[path.suffix](answer, partial, limit)
        os.replace(partial, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return count


def _csv(answer: Answer, path: Path, limit: int | None) -> int:
    """Names, then a line a row; nothing for null, lists and parts as JSON."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(answer.columns)
        for row in islice(answer.rows(), limit):
            writer.writerow([_cell(value) for value in row.values()])
            count += 1
    return count


def _cell(value: object) -> object:
    if isinstance(value, list | dict | tuple):
        return json.dumps(plain(value), ensure_ascii=False)
    return value if isinstance(value, Decimal) else plain(value)


def _jsonl(answer: Answer, path: Path, limit: int | None) -> int:
    """An object a row."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in islice(answer.rows(), limit):
            file.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
            count += 1
    return count


def _parquet(answer: Answer, path: Path, limit: int | None) -> int:
    """The rows in DuckDB's own types."""
    count = 0
    with pq.ParquetWriter(path, _named(answer.schema, answer.columns)) as writer:
        for batch in _first(answer.batches(), limit):
            writer.write_batch(batch.rename_columns(list(answer.columns)))
            count += batch.num_rows
    return count


def _first(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    """Batches up to so many rows."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.slice(0, left)
        left -= min(left, batch.num_rows)
        if not left:
            return


def _named(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([one.with_name(name) for one, name in zip(schema, names, strict=True)])


def plain(value: object) -> object:
    """A value as JSON has it: no NaN and no dates, which become null and ISO text; a decimal is a number
    where that loses no digit, else text.
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if Decimal(str(float(value))) == value else str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
