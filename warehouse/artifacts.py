"""Files beside the tables: the list of a folder's files, with size and SHA-256, that a fact holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

from schemas.errors import LogDamaged
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake
from warehouse.store.durable import left_behind
from warehouse.store.face import Entry


def listing(lake: Lake, folder: str) -> str:
    """Every file below a folder of the lake as JSON of name to [size, SHA-256]: a value of column `files`."""
    entries = complete(lake, folder)
    return json.dumps({entry.name: [entry.size, lake.store.digest(entry.name)] for entry in entries})


def complete(lake: Lake, folder: str) -> list[Entry]:
    """Every file below a folder of the lake, without those that a killed writer left half-written."""
    return [entry for entry in lake.store.entries(folder) if not left_behind(entry.name)]


def listed(text: str | None) -> Iterator[SealedFile]:
    """The files that a column `files` names; LogDamaged where it is not such a list."""
    try:
        for name, (size, sha256) in json.loads(text or "{}").items():
            yield SealedFile(str(name), None, int(size), str(sha256))
    except (ValueError, TypeError, AttributeError):
        raise LogDamaged("a fact's list of files does not parse") from None
