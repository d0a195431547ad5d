"""What a disk or a library says when it fails, as one clear line for the person who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from deltalake.exceptions import DeltaError

from schemas.errors import LakeError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def one_line(error: BaseException) -> str:
    """An error's text without colours and line ends, at most 300 characters."""
    return " ".join(_COLOUR.sub("", str(error)).split())[:300]


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """What the disk does inside the block (no space, a bad sector, a torn file), reported by Python, Delta or
    DuckDB, becomes a LakeError that says what it stopped.
    """
    try:
        yield
    except OSError as error:
        raise LakeError(f"{what}: {error.strerror or one_line(error)}") from None
    except (DeltaError, duckdb.Error) as error:
        raise LakeError(f"{what}: {one_line(error)}") from None
