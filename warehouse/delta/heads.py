"""The newest entry of each log, put on record beside it: until a later commit vouches for it, this does.

A head is a note, `heads/<table>.json`: the hash of the log's newest entry, of its newest checkpoint and of
Delta's pointer to that. It decides nothing, it may be lost, and a writer that is killed leaves an older one;
`verify` then has the entry's own description to go by.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from warehouse.delta.health import last_checkpoint
from warehouse.delta.journal import canonical, digest_of, entry_name
from warehouse.store.face import Store

CHECKPOINT = re.compile(r"\d{20}\.checkpoint\.parquet")  # the name of a checkpoint in a log's folder

_seen: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Head:
    """Hashes of a log's newest files: the entry of `version`, the checkpoint and the pointer to it."""

    version: int
    entry: str
    checkpoint: int
    checkpoint_hash: str | None
    pointer: str | None


def note_head(store: Store, log: str, version: int) -> None:
    """Put a log's newest entry on record."""
    checkpoint = last_checkpoint(store, log)
    has_checkpoint = checkpoint >= 0
    head = Head(
        version=version,
        entry=store.digest(entry_name(log, version)),
        checkpoint=checkpoint,
        checkpoint_hash=_checkpoint_hash(store, checkpoint_name(log, checkpoint)) if has_checkpoint else None,
        pointer=store.digest(f"{log}/_last_checkpoint") if has_checkpoint else None,
    )
    values = asdict(head)
    store.note(head_name(log), canonical(values | {"digest": digest_of(values)}))


def read_head(store: Store, log: str) -> Head | None:
    """The head on record for a log; None where there is none, or where it was changed."""
    try:
        values = json.loads(store.get(head_name(log)))
        digest = values.pop("digest")
        return Head(**values) if digest == digest_of(values) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _checkpoint_hash(store: Store, name: str) -> str:
    """A checkpoint's hash as it was when this process first saw it: checkpoints never change."""
    key = (str(store.home), name)
    if key not in _seen:
        _seen[key] = store.digest(name)
    return _seen[key]


def checkpoint_name(log: str, version: int) -> str:
    """The name of a log's checkpoint file in the lake."""
    return f"{log}/{version:020d}.checkpoint.parquet"


def head_name(log: str) -> str:
    """The name of a log's head in the lake."""
    return f"heads/{log.split('/')[1]}.json"
