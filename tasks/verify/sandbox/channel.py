"""Length-prefixed frames on a pipe: four bytes, big-endian, then as many bytes.

Requests to the child are `marshal`, which the child may trust; replies are JSON in ASCII, which nobody may
trust.
"""

from __future__ import annotations

import os

LARGEST_REPLY = 32 << 20  # bytes of one reply's frame

_read, _write = os.read, os.write  # the candidate may put its own into `os`


class Closed(Exception):
    """The other side has closed the pipe, or broke off inside a frame."""


class Oversized(Exception):
    """A frame announces more bytes than it may have."""


def send(descriptor: int, content: bytes) -> None:
    """Writes one frame; Closed where nobody reads any more."""
    rest = memoryview(len(content).to_bytes(4, "big") + content)
    try:
        while rest:
            rest = rest[_write(descriptor, rest) :]
    except BrokenPipeError as error:
        raise Closed from error


def receive(descriptor: int, largest: int = 0xFFFFFFFF) -> bytes:
    """Reads one frame of at most `largest` bytes; Closed at the end, Oversized before reading too much."""
    size = int.from_bytes(_exactly(descriptor, 4), "big")
    if size > largest:
        raise Oversized(f"a frame of {size} bytes")
    return _exactly(descriptor, size)


def _exactly(descriptor: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = _read(descriptor, min(size, 1 << 20))
        if not piece:
            raise Closed
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
