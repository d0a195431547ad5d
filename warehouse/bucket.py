"""A lake in an S3-compatible bucket, for many hosts at once.

The address is `s3://bucket/prefix`; endpoint, region and keys come from the environment alone
(AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID ...). Files that never change are fetched once into a cache
on this machine (RATCHET_CACHE, else ~/.cache/ratchet) and read from there.

Covered: stores that put conditionally (If-None-Match, If-Match), as S3, MinIO, R2 and Ceph do; locks
are leases that lapse when their holder stops renewing them, aged by the store's clock alone. Not covered:
a store that ignores conditions: there two writers could overwrite each other's commit.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from schemas.errors import BadInput, LakeError, LogDamaged
from warehouse.lease import lease
from warehouse.store import Data, Entry

ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]*))?")
NAMED_BY_HASH = re.compile(r"-([0-9a-f]{64})\.parquet$")
AT_ONCE = 16  # requests in flight


class Bucket:
    """Storage in a bucket."""

    def __init__(self, where: str) -> None:
        found = ADDRESS.fullmatch(re.sub(r"^s3:/(?=[^/])", "s3://", where).rstrip("/"))
        if found is None:
            raise BadInput(f"a lake's address is a folder or s3://bucket/prefix, not {where!r}")
        bucket, prefix = found["bucket"], (found["prefix"] or "").strip("/")
        self.where = f"s3://{bucket}/{prefix}".rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        plain = endpoint.startswith("http://")
        self.options = {"AWS_ALLOW_HTTP": "true"} if plain else {}
        self.home = _cache() / hashlib.sha256(f"{endpoint} {self.where}".encode()).hexdigest()[:16]
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={"allow_http": plain, "timeout": timedelta(seconds=60)},
            retry_config={"max_retries": 6, "retry_timeout": timedelta(seconds=60)},
        )

    def put_new(self, name: str, data: Data) -> None:
        """Put an object that must not exist yet."""
        with self._said():
            obstore.put(self._store, name, data, mode="create", use_multipart=False)

    def put_file(self, name: str, path: Path) -> None:
        """Put a local file's bytes as a new object."""
        self.put_new(name, path.read_bytes())
        path.unlink()

    def replace(self, name: str, data: Data) -> None:
        """Put an object."""
        with self._said():
            obstore.put(self._store, name, data)

    def note(self, name: str, data: Data) -> None:
        """Put an object."""
        self.replace(name, data)

    def put_if(self, name: str, data: Data, tag: str) -> str | None:
        """Put over the object that has an e-tag, or not at all; returns the new e-tag, else None."""
        try:
            with self._said():
                return obstore.put(self._store, name, data, mode={"e_tag": tag}, use_multipart=False)["e_tag"]
        except obstore.exceptions.PreconditionError:
            return None

    def head(self, name: str) -> tuple[Entry, str] | None:
        """An object and its e-tag."""
        try:
            with self._said():
                found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        return _entry(found), found["e_tag"] or ""

    def get(self, name: str) -> bytes:
        """An object's bytes."""
        with self._said():
            return bytes(obstore.get(self._store, name).bytes())

    def digest(self, name: str) -> str:
        """SHA-256 of an object's bytes, as they come from the bucket now."""
        sha = hashlib.sha256()
        with self._said():
            for part in obstore.get(self._store, name).stream(min_chunk_size=4 << 20):
                sha.update(memoryview(part))
        return sha.hexdigest()

    def entry(self, name: str) -> Entry | None:
        """What is stored under a name."""
        found = self.head(name)
        return found[0] if found else None

    def entries(self, prefix: str) -> list[Entry]:
        """Every object below a prefix."""
        return self._listed(prefix.rstrip("/"))

    def numbered(self, folder: str, first: int) -> list[Entry]:
        """Log entries from a number on: one listing that begins there."""
        listed = self._listed(folder, after=f"{folder}/{first - 1:020d}.json~" if first else None)
        return [entry for entry in listed if re.fullmatch(r".*/\d{20}\.json", entry.name)]

    def delete(self, name: str) -> None:
        """Remove an object and its copy here."""
        with self._said():
            obstore.delete(self._store, name)
        (self.home / name).unlink(missing_ok=True)

    def local(self, names: Sequence[str]) -> list[Path]:
        """Copies on this machine, fetched where they are not here yet."""
        paths = [self.home / name for name in names]
        missing = [(name, path) for name, path in zip(names, paths, strict=True) if not path.exists()]
        for path in paths:
            if path.exists():
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
        with self._said():
            return any(len(page) for page in obstore.list(self._store, chunk_size=1))

    def publish(self, names: Sequence[str]) -> None:
        """Put local files, those that the bucket does not hold with the same size."""
        for name in names:
            path = self.home / name
            held = self.entry(name)
            if held is None or held.size != path.stat().st_size:
                self.replace(name, path.read_bytes())

    def stale(self, seconds: float) -> list[Path]:
        """Fetched copies that were not used for so long."""
        before = time.time() - seconds
        copies = [path for path in self.home.rglob("*") if path.is_file()]
        return [path for path in copies if path.stat().st_mtime < before]

    def settle(self, names: Sequence[str]) -> None:
        """An object that was put is durable already."""

    def now(self) -> float:
        """The store's clock, read off an object written now."""
        name = f"locks/.clock-{uuid4().hex}"
        self.replace(name, b"")
        found = self.entry(name)
        self.delete(name)
        if found is None:
            raise LakeError(f"{self.where}: an object that was just written is not there")
        return found.modified

    def exclusive(self, name: str, *, wait: bool) -> AbstractContextManager[None]:
        """A lease on an object of the bucket."""
        return lease(self, f"locks/{name}.json", wait=wait)

    def _listed(self, prefix: str, after: str | None = None) -> list[Entry]:
        with self._said():
            pages = obstore.list(self._store, prefix or None, offset=after)
            return sorted((_entry(one) for page in pages for one in page), key=lambda entry: entry.name)

    def _fetch(self, name: str, path: Path) -> None:
        data = self.get(name)
        told = NAMED_BY_HASH.search(name)
        if told and hashlib.sha256(data).hexdigest() != told[1]:
            raise LogDamaged(f"{self.where}/{name} is not the file that was written: its hash differs")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        temporary.write_bytes(data)
        temporary.replace(path)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """The store's own errors as ours, in one line; what is missing or taken stays Python's."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, obstore.exceptions.PreconditionError):
            raise
        except obstore.exceptions.AlreadyExistsError as error:
            raise FileExistsError(str(error)) from None
        except (BaseError, OSError) as error:
            line = " ".join(str(error).split())[:300]
            raise LakeError(f"the bucket of {self.where} cannot be used: {line}") from None


def _entry(found: Any) -> Entry:
    return Entry(found["path"], found["size"], found["last_modified"].timestamp())


def _cache() -> Path:
    told = os.environ.get("RATCHET_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "ratchet"
