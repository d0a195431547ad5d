"""The records of a Parquet or an Arrow file: only the columns that are asked for, a few rows at a time.

Arrow files may be streams, as `datasets` saves them, or files. What is too large is refused by its own
description before it is read, and as it comes; so are long texts that a dictionary repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import PromptFileError, first_line
from tasks.admit.files import LONGEST, MOST_BYTES, MOST_RECORDS, Row

_MAGIC = {b"PAR1": "parquet", b"ARRO": "arrow", b"\xff\xff\xff\xff": "arrow"}
_ROWS = 64  # made Python values at once


def table_format(path: Path) -> str | None:
    """`parquet` or `arrow` by a file's first bytes; None: neither."""
    try:
        with path.open("rb") as file:
            return _MAGIC.get(file.read(4))
    except OSError as error:
        raise PromptFileError(f"prompt file {path}: {error.strerror}") from None


def table_rows(path: Path, format_: str, columns: Collection[str]) -> Iterator[Row]:
    """The rows of a file, of the columns that are asked for and that it has; PromptFileError of one line."""
    number = size = 0
    try:
        for batch in (_parquet if format_ == "parquet" else _arrow)(path, columns):
            size += batch.nbytes
            if number + batch.num_rows > MOST_RECORDS or size > MOST_BYTES:
                raise PromptFileError(_too_large(path))
            _check_repeated(path, batch, number + 1)
            for start in range(0, batch.num_rows, _ROWS):
                for value in batch.slice(start, _ROWS).to_pylist():
                    number += 1
                    yield Row(number, f"row {number:,}", value)
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise PromptFileError(f"prompt file {path}: {first_line(error)[:200]}") from None


def table_columns(path: Path, format_: str) -> list[str]:
    """The names of a file's columns."""
    try:
        if format_ == "parquet":
            return list(pq.read_schema(path).names)
        with pa.memory_map(str(path)) as file:
            return list(_opened(file).schema.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PromptFileError(f"prompt file {path}: {first_line(error)[:200]}") from None


def _parquet(path: Path, columns: Collection[str]) -> Iterator[Any]:
    schema = pq.read_schema(path)
    _check_names(path, schema.names)
    texts = [field.name for field in schema if field.name in columns and _is_text(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > MOST_RECORDS or sum(one.total_byte_size for one in groups) > MOST_BYTES:
            raise PromptFileError(_too_large(path))
        yield from file.iter_batches(512, columns=[name for name in schema.names if name in columns])


def _arrow(path: Path, columns: Collection[str]) -> Iterator[Any]:
    with pa.memory_map(str(path)) as file:
        reader = _opened(file)
        _check_names(path, reader.schema.names)
        names = [name for name in reader.schema.names if name in columns]
        if isinstance(reader, pa.RecordBatchFileReader):
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            batches = iter(reader)
        for batch in batches:
            yield batch.select(names)


def _opened(file: Any) -> Any:
    if file.read(6) == b"ARROW1":
        return pa.ipc.open_file(file)
    file.seek(0)
    return pa.ipc.open_stream(file)


def _check_names(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise PromptFileError(f"prompt file {path}: two columns have one name")


def _check_repeated(path: Path, piece: Any, number: int) -> None:
    """PromptFileError where a dictionary holds a text longer than any record may be."""
    for column in piece.columns:
        if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py()
            if longest is not None and longest > LONGEST:
                raise PromptFileError(f"{path}, row {number:,}: longer than {LONGEST:,} bytes")


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _too_large(path: Path) -> str:
    return f"prompt file {path}: more than {MOST_RECORDS:,} rows or {MOST_BYTES:,} bytes"
