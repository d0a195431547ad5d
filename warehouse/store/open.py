"""Where a lake's bytes lie: a folder on this machine or an S3-compatible bucket, by its address."""

from __future__ import annotations

from pathlib import Path

from warehouse.store.face import Store
from warehouse.store.folder import Folder


def open_store(where: str | Path) -> Store:
    """The store at a path or an `s3://bucket/prefix` address; nothing is read or written yet."""
    text = str(where)
    if "://" in text or text.startswith("s3:/"):
        from warehouse.store.bucket import Bucket  # loads a client that a folder needs none of

        return Bucket(text)
    return Folder(Path(where))
