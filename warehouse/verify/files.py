"""Data files against what the log says of them: those that hold rows, those retired since, and strangers.

A file that compaction retired holds no fact any more, but lies there until `ratchet maintain` frees it, a day
later, and readers of an older version still see it. Its bytes are read too, the smallest files first, up to a
quarter of the bytes of the table's live files, or `SPARE` where that is more; a deep check reads all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from schemas.errors import LogDamaged
from warehouse.delta.datafile import hash_in_name
from warehouse.delta.seals import SealedFile
from warehouse.lake import Lake
from warehouse.store.face import Entry
from warehouse.verify.findings import Findings

SPARE = 16 * 2**20  # bytes of retired files that are read in any case, of each table
SHARE = 4  # one in so many bytes read may be a retired file's

Advance = Callable[[int], None]


def check_files(
    lake: Lake,
    live: Sequence[SealedFile],
    retired: Iterable[SealedFile],
    files: Iterable[Entry],
    findings: Findings,
    advance: Advance,
    *,
    deep: bool,
) -> None:
    """A table's files: the log's are there to the byte; retired ones may be gone; others are leftovers or
    strangers.
    """
    there = {entry.name: entry for entry in files}
    for file in live:
        if problem := check_bytes(lake, file, there.get(file.name)):
            findings.damage(file.name, problem)
        advance(1)
    once = {file.name: file for file in retired}
    most = None if deep else max(SPARE, sum(file.size for file in live) // SHARE)
    _check_retired(lake, [once[name] for name in there.keys() & once.keys()], there, most, findings)
    for name in there.keys() - {file.name for file in live}:
        findings.files += 1
        findings.size += there[name].size
        if name in once:
            continue
        if hash_in_name(name):
            findings.leftover(name, "left by a writer that was killed: no commit names it")
        elif name.rpartition("/")[2].startswith("."):
            findings.leftover(name, "left by a writer that was killed")
        else:
            findings.damage(name, "does not belong to the table")


def check_bytes(lake: Lake, file: SealedFile, entry: Entry | None) -> str | None:
    """What is wrong with a file that should be there, in one line; None for nothing."""
    if entry is None:
        return "is missing"
    if entry.size != file.size:
        what = "truncated" if entry.size < file.size else "changed"
        return f"was {what}: it has {entry.size:,} bytes, {file.size:,} were written"
    try:
        sha256 = lake.store.digest(file.name)
    except FileNotFoundError:
        return "is missing"
    except PermissionError:
        raise
    except LogDamaged as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if sha256 == file.sha256 else "was changed: its hash is not the one on record"


def _check_retired(
    lake: Lake, retired: Sequence[SealedFile], there: dict[str, Entry], most: int | None, findings: Findings
) -> None:
    """Check the retired files that are still there, reading at most `most` bytes of them (None: all)."""
    budget, unread = most, 0
    for file in sorted(retired, key=lambda file: (file.size, file.name)):
        if budget is not None and there[file.name].size == file.size > budget:
            unread += 1
            continue
        problem = check_bytes(lake, file, there[file.name])
        budget = None if budget is None else budget - file.size
        if problem not in (None, "is missing"):  # freed while we looked
            findings.retired(file.name, f"{problem}; compaction had retired it: no fact rests on it")
    if unread:
        findings.retired(
            retired[0].name.split("/loop=")[0],
            f"{unread:,} retired files have their size, and were not read: --deep reads them",
        )
