"""What a disk, a store or a library says when it fails, as one clear line for the person who reads it.

No dumps, no escape codes, and never a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from deltalake.exceptions import DeltaError

from schemas.errors import LakeError

LONGEST = 300  # characters
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
SHORTEST = 8  # characters of a key: what is shorter is a word, and no store takes it for a secret
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SAID = re.compile(r"<Code>(?P<code>[^<]*)</Code>.*?(?:<Message>(?P<message>[^<]*)</Message>|$)", re.DOTALL)
_AWAY = re.compile(r"error sending request|timed out|error reading a body|operation timed|connection closed")
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?(?P<host>[^/\s?]+)")
_KEYS_FROM_HOST = "169.254."  # where a machine in a cloud asks for its keys


def one_line(error: BaseException) -> str:
    """What an error says: the store's own code and message, who did not answer, or its first words."""
    text = _COLOUR.sub("", str(error))
    answer, host = _SAID.search(text), _HOST.search(text)
    if answer:
        line = f"the store says {answer['code']}: {answer['message'] or 'and no more'}"
    elif _KEYS_FROM_HOST in text:
        line = "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif host and _AWAY.search(text):
        line = f"{host['host']} does not answer"
    elif "403 Forbidden" in text:
        line = "the store says 403: the keys are refused"
    else:
        line = text.split("Debug source")[0]
    for secret in (os.environ.get(name, "") for name in SECRETS):
        line = line.replace(secret, "(a key)") if len(secret) >= SHORTEST else line
    return " ".join(line.split())[:LONGEST]


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn disk errors inside the block (no space, a bad sector, a torn file), whether from Python, Delta or
    DuckDB, into a LakeError that says `what` they stopped.
    """
    try:
        yield
    except OSError as error:
        raise LakeError(f"{what}: {error.strerror or one_line(error)}") from None
    except (DeltaError, duckdb.Error) as error:
        raise LakeError(f"{what}: {one_line(error)}") from None
