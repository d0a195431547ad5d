"""Ids: deterministic, readable, sorted by round.

An id is `<kind>-<round, five digits>-<24 hex digits>`, where the hash covers what the row is about
(its parents, checkpoint, sample index, seed, verifier version ...). The same work gives the same id,
so a retry cannot fork history; the round prefix lets file statistics prune a look-up by id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

HEX_DIGITS = 24  # 96 bits: among 10^10 ids a collision has a chance of about 10^-9

Part = str | int | float | bool | None

_ID = re.compile(r"(?P<kind>[a-z]+)-(?P<round>\d{5,})-(?P<digest>[0-9a-f]{24,64})")
LOOP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


def digest(parts: Iterable[Part]) -> str:
    """SHA-256 (64 hex digits) over parts of known type and length, so that no two lists share a text."""
    sha = hashlib.sha256()
    for part in parts:
        text = repr(part) if not isinstance(part, str) else part
        data = text.encode("utf-8", "surrogatepass")
        sha.update(f"{type(part).__name__}:{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()


def make_id(kind: str, round_number: int, *parts: Part) -> str:
    """The id of a `kind` (such as "cand") born in a round, about `parts`."""
    return f"{kind}-{round_number:05d}-{digest((kind, *parts))[:HEX_DIGITS]}"


def round_of(row_id: str) -> int | None:
    """The round an id was born in; None where the text is not an id."""
    match = _ID.fullmatch(row_id)
    return int(match["round"]) if match else None


def kind_of(row_id: str) -> str | None:
    """The kind an id names ("cand", "ckpt" ...); None where the text is not an id."""
    match = _ID.fullmatch(row_id)
    return match["kind"] if match else None
