"""A lake in an S3-compatible bucket, for many hosts at once.

The address is `s3://bucket/prefix`; endpoint, region and keys come from the environment alone
(AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID ...). Files that never change are fetched once into a cache
on this machine (RATCHET_CACHE, else ~/.cache/ratchet) and read from there.

Covered: stores that put conditionally (If-None-Match, If-Match), as S3, MinIO, R2 and Ceph do; locks
are leases that lapse when their holder stops renewing them, aged by the store's clock alone. Not covered:
a store that ignores conditions: there two writers could overwrite each other's commit. A conditional
write whose reply is lost is looked up, never guessed at; throttling and a store that is away for seconds are
waited out.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from schemas.errors import BadInput, LakeError, LogDamaged
from warehouse.store.durable import sha256, write_new
from warehouse.store.face import Data, Entry
from warehouse.store.lease import lease
from warehouse.store.trouble import one_line

ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]*))?")
NAMED_BY_HASH = re.compile(r"-([0-9a-f]{64})\.parquet$")
AT_ONCE = 16  # requests in flight
CONNECT = 5  # seconds
ANSWER = 15  # seconds without a byte
PATIENCE = 30  # seconds within which a request is tried again
TRIES = 8
BULK = 8 << 20  # bytes: what is larger may take longer to send than an answer to come
BULK_SECONDS = 900
PART = 32 << 20  # bytes of a file sent at a time
PARTS = 4  # of one file in flight


class Bucket:
    """Storage in a bucket."""

    def __init__(self, where: str) -> None:
        match = ADDRESS.fullmatch(re.sub(r"^s3:/(?=[^/])", "s3://", where).rstrip("/"))
        if match is None:
            raise BadInput(f"a lake's address is a folder or s3://bucket/prefix, not {where!r}")
        bucket, prefix = match["bucket"], (match["prefix"] or "").strip("/")
        self.where = f"s3://{bucket}/{prefix}".rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        plain = endpoint.startswith("http://")
        self.options: Mapping[str, str] = {
            "aws_allow_http": str(plain).lower(),
            "connect_timeout": f"{CONNECT}s",
            "timeout": f"{PATIENCE}s",
            "max_retries": str(TRIES),
            "retry_timeout": f"{PATIENCE}s",
        }
        self.home = _cache() / hashlib.sha256(f"{endpoint} {self.where}".encode()).hexdigest()[:16]
        self._store = _client(bucket, prefix, plain, TRIES)
        self._single = _client(bucket, prefix, plain, 0)
        self._bulk = _client(bucket, prefix, plain, 0, seconds=BULK_SECONDS)

    def put_new(self, name: str, data: Data) -> None:
        """Put an object that must not exist yet."""
        with self._store_errors():
            self._put_by_condition(name, _bytes(data), "create")

    def put_file(self, name: str, path: Path) -> None:
        """Put a local file's bytes as a new object."""
        self.put_new(name, path.read_bytes())
        path.unlink()

    def replace(self, name: str, data: Data) -> None:
        """Put an object."""
        with self._store_errors():
            obstore.put(self._store, name, _bytes(data))

    def note(self, name: str, data: Data) -> None:
        """Put an object."""
        self.replace(name, data)

    def put_if(self, name: str, data: Data, tag: str) -> str | None:
        """Put over the object that has an e-tag, or not at all; returns the new e-tag, else None."""
        with self._store_errors(), suppress(PreconditionError, AlreadyExistsError, FileNotFoundError):
            return self._put_by_condition(name, _bytes(data), {"e_tag": tag})
        return None

    def head(self, name: str) -> tuple[Entry, str] | None:
        """An object and its e-tag."""
        try:
            with self._store_errors():
                item = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        return _entry(item), item["e_tag"] or ""

    def get(self, name: str) -> bytes:
        """An object's bytes."""
        with self._store_errors():
            return bytes(obstore.get(self._store, name).bytes())

    def digest(self, name: str) -> str:
        """SHA-256 of an object's bytes, as they come from the bucket now."""
        sha = hashlib.sha256()
        with self._store_errors():
            for part in obstore.get(self._store, name).stream(min_chunk_size=4 << 20):
                sha.update(memoryview(part))
        return sha.hexdigest()

    def entry(self, name: str) -> Entry | None:
        """What is stored under a name."""
        answer = self.head(name)
        return answer[0] if answer else None

    def entries(self, prefix: str) -> list[Entry]:
        """Every object below a prefix."""
        return self._listed(prefix.rstrip("/"))

    def numbered(self, folder: str, first: int) -> list[Entry]:
        """Log entries from a number on: one listing that begins there."""
        listed = self._listed(folder, after=f"{folder}/{first - 1:020d}.json~" if first else None)
        return [entry for entry in listed if re.fullmatch(r".*/\d{20}\.json", entry.name)]

    def delete(self, name: str) -> None:
        """Remove an object and its copy here."""
        with self._store_errors(), suppress(FileNotFoundError):
            obstore.delete(self._store, name)
        (self.home / name).unlink(missing_ok=True)

    def local(self, names: Sequence[str]) -> list[Path]:
        """Copies on this machine, fetched where they are not here yet."""
        paths = [self.home / name for name in names]
        missing = [(name, path) for name, path in zip(names, paths, strict=True) if not path.exists()]
        for path in paths:
            with suppress(FileNotFoundError):
                os.utime(path)  # used: see `stale`
        if missing:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda pair: self._fetch(*pair), missing))
        return paths

    def delta(self, name: str) -> str:
        """A prefix's address."""
        return f"{self.where}/{name}"

    def make(self, folder: str) -> None:
        """A bucket has no folders."""

    def taken(self) -> bool:
        """Whether objects lie below the prefix."""
        with self._store_errors():
            return any(len(page) for page in obstore.list(self._store, chunk_size=1))

    def publish(self, names: Sequence[str]) -> None:
        """Put the local files that the bucket does not hold byte for byte."""
        for name in names:
            path = self.home / name
            stored_entry = self.entry(name)
            same = stored_entry is not None and stored_entry.size == path.stat().st_size
            if not same or self.digest(name) != sha256(path):
                with self._store_errors():
                    obstore.put(self._store, name, path, chunk_size=PART, max_concurrency=PARTS)

    def stale(self, seconds: float) -> list[Path]:
        """Fetched copies, and half-written ones of killed processes, that were not used for so long."""
        before = time.time() - seconds
        stale = []
        rooms = ("tables", "snapshots", "models", "spare")
        fetched = (path for room in rooms for path in (self.home / room).rglob("*"))
        for path in fetched:
            with suppress(FileNotFoundError):  # another process clears away too
                stale += [path] if path.is_file() and path.stat().st_mtime < before else []
        return stale

    def settle(self, names: Sequence[str]) -> None:
        """An object that was put is durable already."""

    def now(self) -> float:
        """The store's clock, read off an object written now."""
        name = f"locks/.clock-{uuid4().hex}"
        self.replace(name, b"")
        entry = self.entry(name)
        self.delete(name)
        if entry is None:
            raise LakeError(f"{self.where}: an object that was just written is not there")
        return entry.modified

    def exclusive(self, name: str, *, wait: bool) -> AbstractContextManager[None]:
        """A lease on an object of the bucket."""
        return lease(self, f"locks/{name}.json", wait=wait)

    def _listed(self, prefix: str, after: str | None = None) -> list[Entry]:
        with self._store_errors():
            pages = obstore.list(self._store, prefix or None, offset=after)
            return sorted((_entry(one) for page in pages for one in page), key=lambda entry: entry.name)

    def _fetch(self, name: str, path: Path) -> None:
        data = self.get(name)
        match = NAMED_BY_HASH.search(name)
        if match and hashlib.sha256(data).hexdigest() != match[1]:
            raise LogDamaged(f"{self.where}/{name} is not the file that was written: its hash differs")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        write_new(temporary, data)  # synced: an empty copy after a power loss would be read for ever
        temporary.replace(path)

    def _put_by_condition(self, name: str, data: bytes | memoryview, mode: Any) -> str:
        """Put under a condition; returns the new e-tag. A try whose outcome is unknown may be why the next
        one fails, so a failed try looks whether the object is ours.
        """
        client = self._bulk if len(data) > BULK else self._single
        end, unsure = time.monotonic() + PATIENCE, False
        for attempt in range(TRIES + 1):
            try:
                return obstore.put(client, name, data, mode=mode, use_multipart=False)["e_tag"] or ""
            except (AlreadyExistsError, PreconditionError):
                present = self._content(name) if unsure else None
                if present is None or present[0] != data:
                    raise
                return present[1]
            except (PermissionDeniedError, UnauthenticatedError, FileNotFoundError):
                raise
            except BaseError:
                unsure = True
                if attempt == TRIES or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(0, min(5.0, 0.1 * 2**attempt)))  # noqa: S311
        raise AssertionError("the last try returns or raises")

    def _content(self, name: str) -> tuple[bytes, str] | None:
        try:
            item = obstore.get(self._store, name)
            return bytes(item.bytes()), item.meta["e_tag"] or ""
        except FileNotFoundError:
            return None

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn the store's errors into ours, in one line; a missing or taken name keeps Python's error."""
        try:
            yield
        except AlreadyExistsError:
            raise FileExistsError(f"{self.where}: the name is taken") from None
        except FileExistsError:
            raise
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                raise
            raise LakeError(f"{self.where} cannot be used: {one_line(error)}") from None


def _client(bucket: str, prefix: str, plain: bool, tries: int, seconds: int | None = None) -> S3Store:
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={
            "allow_http": plain,
            "connect_timeout": timedelta(seconds=CONNECT),
            "read_timeout": timedelta(seconds=ANSWER if seconds is None else seconds),
            "timeout": timedelta(seconds=BULK_SECONDS),
        },
        retry_config={"max_retries": tries, "retry_timeout": timedelta(seconds=PATIENCE)},
    )


def _bytes(data: Data) -> bytes | memoryview:
    return data.cast("B") if isinstance(data, memoryview) else data


def _entry(item: Any) -> Entry:
    return Entry(item["path"], item["size"], item["last_modified"].timestamp())


def _cache() -> Path:
    folder = os.environ.get("RATCHET_CACHE")
    return Path(folder) if folder else Path.home() / ".cache" / "ratchet"
