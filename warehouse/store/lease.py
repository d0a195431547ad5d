"""A lock on object storage: an object that its holder renews, put by condition, aged by the store's clock.

Covered: one holder at a time among hosts whose clocks differ, and holders that die: their lease lapses, and
is free at once for a process of the same machine, which sees that they are gone. Not covered: a holder
that sleeps past its lease and wakes up; nothing that must be exact rests on a lease, commits carry keys.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from schemas.errors import LakeBusy, LakeError
from warehouse.store.face import Data, Entry

SECONDS = 60.0  # a lease that is not renewed for so long has lapsed
PAUSE = 1.0  # seconds between two looks of one who waits


class Conditional(Protocol):
    """Storage that writes under a condition."""

    def put_new(self, name: str, data: Data) -> None:
        """Write an object that must not exist yet."""

    def put_if(self, name: str, data: Data, tag: str) -> str | None:
        """Write over the object with an e-tag, or not at all."""

    def head(self, name: str) -> tuple[Entry, str] | None:
        """An object and its e-tag."""

    def get(self, name: str) -> bytes:
        """An object's bytes."""

    def now(self) -> float:
        """The store's clock, in seconds."""


@contextmanager
def lease(store: Conditional, name: str, *, wait: bool) -> Iterator[None]:
    """Hold an object; LakeBusy where another holds it and `wait` is false."""
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    record = {
        "holder": holder,
        "token": uuid4().hex,
        "seconds": SECONDS,
        "machine": _machine(),
        "process": os.getpid(),
    }
    while (tag := _take(store, name, record)) is None:
        if not wait:
            raise LakeBusy(_holder(store, name))
        time.sleep(PAUSE)
    ended = threading.Event()
    holding = _Holding(tag)
    renewing = threading.Thread(target=_renew, args=(store, name, record, holding, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(LakeError):  # the store is away: the lease lapses by itself
            store.put_if(name, _json(record | {"released": True}), holding.tag)


class _Holding:
    """The e-tag that our lease has now."""

    def __init__(self, tag: str) -> None:
        self.tag = tag


def _take(store: Conditional, name: str, record: dict[str, Any]) -> str | None:
    """Take a lease that is free, released or lapsed; the e-tag it then has, else None."""
    try:
        store.put_new(name, _json(record))
    except FileExistsError:
        entry_and_tag = store.head(name)
        if entry_and_tag is None:
            return None
        entry, tag = entry_and_tag
        if not _free(store, name, entry):
            return None
        return store.put_if(name, _json(record), tag)
    entry_and_tag = store.head(name)
    return entry_and_tag[1] if entry_and_tag else None


def _free(store: Conditional, name: str, entry: Entry) -> bool:
    record = _read(store, name)
    if record.get("released") or _is_gone(record):
        return True
    return store.now() - entry.modified > float(record.get("seconds", SECONDS))


def _is_gone(record: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine, and is no more."""
    process = record.get("process")
    machine = _machine()
    if machine is None or record.get("machine") != machine or not isinstance(process, int):
        return False
    return not Path(f"/proc/{process}").exists()


def _machine() -> str | None:
    """This machine's boot and our process namespace on it, as one id; None where it does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _renew(
    store: Conditional, name: str, record: dict[str, Any], holding: _Holding, ended: threading.Event
) -> None:
    count = 0
    while not ended.wait(SECONDS / 3):
        count += 1
        try:
            tag = store.put_if(name, _json(record | {"renewed": count}), holding.tag)
        except LakeError:
            continue  # the store is away: the lease may lapse, and no exactness rests on it
        if tag is None:
            return
        holding.tag = tag


def _holder(store: Conditional, name: str) -> str:
    return str(_read(store, name).get("holder", "another process"))


def _read(store: Conditional, name: str) -> dict[str, Any]:
    try:
        record = json.loads(store.get(name))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
