"""A Delta checkpoint against the log: the files and keys it carries are those that its entries bring."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import LogDamaged
from warehouse.delta.heads import checkpoint_name
from warehouse.delta.journal import read_entries
from warehouse.lake import Lake


def check_checkpoint(lake: Lake, log: str, version: int) -> None:
    """LogDamaged where a checkpoint does not say what the log says up to its version."""
    name = checkpoint_name(log, version)
    try:
        with pq.ParquetFile(
            io.BytesIO(lake.store.get(name))
        ) as file:  # small: not by the threads of a dataset
            rows = file.read(use_threads=False).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LogDamaged(f"does not read: {' '.join(str(error).split())[:200]}") from None
    try:
        added, keys = _replayed(lake, log, version)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise LogDamaged("cannot be held against the log, whose entries are damaged") from None
    files = {row["add"]["path"]: _file_facts(row["add"]) for row in rows if row.get("add")}
    if files != added:
        wrong = next(iter(dict(files.items() ^ added.items())))
        raise LogDamaged(f"does not say what the log says of {wrong}")
    for row in rows:
        key = row.get("txn")
        if key and keys.get(key["appId"]) != key["version"]:
            raise LogDamaged(f"holds key {key['appId']} as the log does not")
    present = {row["txn"]["appId"] for row in rows if row.get("txn")}
    if lost := {key for key, number in keys.items() if number is not None} - present:
        raise LogDamaged(f"lacks key {min(lost)}")


def _replayed(lake: Lake, log: str, version: int) -> tuple[dict[str, Any], dict[str, int | None]]:
    """Files and keys that a log's entries leave; an expired key has no version."""
    added: dict[str, Any] = {}
    keys: dict[str, int | None] = {}
    for entry in read_entries(lake.store, log, 0, version):
        for removed in entry.of("remove"):
            added.pop(removed["path"], None)
        added |= {add["path"]: _file_facts(add) for add in entry.of("add")}
        for key in entry.of("txn"):
            keys[key["appId"]] = None if key.get("lastUpdated") == 1 else key["version"]
    return added, keys


def _file_facts(add: Any) -> tuple[Any, ...]:
    return (add["size"], add["modificationTime"], dict(add["partitionValues"]).get("round"), add.get("stats"))
