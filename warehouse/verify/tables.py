"""One table: its log entry by entry, held against links, seals and heads; its data files against the log.

Covered: any change to an entry that a later entry, a seal or the head vouches for; a lost or doubled
commit; data files that are missing, truncated, changed, or not the log's. An entry that nothing vouches for
(the newest, of a writer that was killed) is held against its own description, which does not cover the times
that Delta's writer puts into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import LogDamaged
from warehouse.delta.heads import CHECKPOINT, checkpoint_name, read_head
from warehouse.delta.health import last_checkpoint
from warehouse.delta.journal import LogEntry, entry_name, half_written, problem, read_entry
from warehouse.delta.seals import START, Seal, SealedFile, running_hash, seal_name
from warehouse.lake import Lake
from warehouse.store.face import Entry
from warehouse.verify.checkpoints import check_checkpoint
from warehouse.verify.files import Advance, check_files
from warehouse.verify.findings import Findings


@dataclass
class TableStory:
    """What a table's log says: files that hold its rows, files retired since, units, seals on record."""

    name: str
    live: dict[str, SealedFile] = field(default_factory=dict)
    retired: dict[str, SealedFile] = field(default_factory=dict)
    retired_at: dict[str, float] = field(default_factory=dict)  # seconds since the epoch
    units: dict[str, int] = field(default_factory=dict)  # key -> version that brought it
    anchors: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    vouched: dict[str, str] = field(default_factory=dict)  # name in the log's folder -> hash
    running: dict[int, str] = field(default_factory=dict)  # version -> the log's running hash


def check_table(
    lake: Lake, name: str, seals: Sequence[Seal], findings: Findings, advance: Advance, *, deep: bool = False
) -> TableStory:
    """Check one table's log and files (`deep`: retired ones too); returns what can be read of its log."""
    log = f"{lake.log(name)}/"
    in_log = lake.store.entries(lake.log(name))  # first: what the log names is there when we look
    files = [file for file in lake.store.entries(f"tables/{name}") if not file.name.startswith(log)]
    story = check_log(lake, name, seals, in_log, findings, advance)
    live, retired = list(story.live.values()), list(story.retired.values())
    check_files(lake, live, retired, files, findings, advance, deep=deep)
    return story


def check_log(
    lake: Lake,
    name: str,
    seals: Sequence[Seal],
    in_log: Sequence[Entry],
    findings: Findings,
    advance: Advance = lambda _: None,
) -> TableStory:
    """Check one table's log, whose files are `in_log`, and none of its data files."""
    story = TableStory(name)
    log = lake.log(name)
    for entry in _entries(lake, log, in_log, findings):
        _follow(story, entry, findings)
        advance(1)
    _check_vouched(lake, log, story, in_log, findings)
    _check_head(lake, log, story, findings)
    for seal in seals:
        _check_seal(story, seal, findings)
    _check_checkpoints(lake, log, story, in_log, findings)
    return story


def _entries(lake: Lake, log: str, files: Sequence[Entry], findings: Findings) -> Iterator[LogEntry]:
    """The log's entries that can be read, in order; gaps, torn ones and strangers are noted."""
    versions = []
    for file in files:
        name = file.name.removeprefix(f"{log}/")
        findings.files += 1
        findings.size += file.size
        if name.endswith(".json") and name[:-5].isdigit() and len(name) == 25:
            versions.append(int(name[:-5]))
        elif half_written(name):
            findings.leftover(file.name, "left by a writer that was killed")
        elif name != "_last_checkpoint" and not CHECKPOINT.fullmatch(name):
            findings.damage(file.name, "does not belong to the log")
    for version in range(max(versions, default=-1) + 1):
        with findings.noting(f"{log}/{version:020d}.json"):
            yield read_entry(lake.store, log, version)


def _follow(story: TableStory, entry: LogEntry, findings: Findings) -> None:
    """Fold one entry into the table's story."""
    story.hashes[entry.version] = entry.sha256
    before = START if entry.version == 0 else story.running.get(entry.version - 1)
    if before is not None:
        story.running[entry.version] = running_hash(before, [entry])
    description = entry.described
    if wrong := problem(entry):
        findings.damage(entry.name, wrong)
        description = {}  # what it says of other entries is not to be believed
    elif "digest" not in description and story.vouched:
        findings.damage(entry.name, "was not written by Ratchet, or its description was changed")
    vouched = {f"{int(n):020d}.json": str(digest) for n, digest in description.get("links", {}).items()}
    vouched |= {str(n): str(digest) for n, digest in description.get("checkpoints", {}).items()}
    for name, digest in vouched.items():  # the first to vouch counts: later ones may have seen a changed file
        if story.vouched.setdefault(name, digest) != digest:
            where = f"{entry.name.rpartition('/')[0]}/{name}"
            findings.damage(
                where, f"was changed: entry {entry.version} found another hash than was on record"
            )
    for key in entry.units:
        if key in story.units:
            findings.damage(entry.name, f"brings unit {key} a second time, after entry {story.units[key]}")
        story.units[key] = entry.version
    for removed in entry.of("remove"):
        path = str(removed.get("path"))
        if path in story.live:
            story.retired[path] = story.live.pop(path)
            story.retired_at[path] = float(removed.get("deletionTimestamp") or 0) / 1e3
    facts = description.get("files", {})
    for added in entry.of("add"):
        path = str(added.get("path"))
        fact = facts.get(path, {})
        story.live[path] = SealedFile(
            f"tables/{story.name}/{path}",
            fact.get("rows"),
            int(added.get("size", -1)),
            str(fact.get("sha256")),
        )
    if isinstance(description.get("seal"), dict):
        story.anchors.append(description["seal"])


def _check_vouched(
    lake: Lake, log: str, story: TableStory, files: Sequence[Entry], findings: Findings
) -> None:
    """Entries and checkpoints against the hashes that later entries give them."""
    there = {file.name.rpartition("/")[2] for file in files}
    for name, sha256 in story.vouched.items():
        if name.endswith(".json"):
            digest = story.hashes.get(int(name[:20]))
        else:
            digest = lake.store.digest(f"{log}/{name}") if name in there else None
            if digest is None:
                findings.damage(f"{log}/{name}", "is missing")
        if digest is not None and digest != sha256:
            findings.damage(f"{log}/{name}", "was changed: later entries give it another hash")


def _check_head(lake: Lake, log: str, story: TableStory, findings: Findings) -> None:
    """The newest entry, checkpoint and pointer against the head on record, where it is of that entry."""
    newest = max(story.hashes, default=-1)
    head = read_head(lake.store, log)
    pointed = last_checkpoint_noted(lake, log, findings)
    if pointed >= 0 and lake.store.entry(checkpoint_name(log, pointed)) is None:
        findings.damage(f"{log}/_last_checkpoint", f"names checkpoint {pointed}, which is not there")
    if head is None:
        return
    if head.version > newest:
        if lake.store.entry(entry_name(log, head.version)) is not None:
            return  # committed while we looked
        findings.damage(f"{log}/{head.version:020d}.json", "is missing: the head has it on record")
    elif story.hashes.get(head.version) != head.entry:
        findings.damage(f"{log}/{head.version:020d}.json", "was changed: the head gives it another hash")
    if head.checkpoint >= 0 and pointed == head.checkpoint:
        for name, sha256 in (
            (checkpoint_name(log, head.checkpoint), head.checkpoint_hash),
            (f"{log}/_last_checkpoint", head.pointer),
        ):
            if lake.store.entry(name) is None or lake.store.digest(name) != sha256:
                findings.damage(name, "was changed: the head gives it another hash")
    elif pointed < head.checkpoint:
        findings.damage(f"{log}/_last_checkpoint", f"does not name checkpoint {head.checkpoint}")


def last_checkpoint_noted(lake: Lake, log: str, findings: Findings) -> int:
    """The version that Delta's pointer names; damage where it does not parse."""
    try:
        return last_checkpoint(lake.store, log)
    except LogDamaged as error:
        findings.damage(f"{log}/_last_checkpoint", str(error))
        return -1


def _check_seal(story: TableStory, seal: Seal, findings: Findings) -> None:
    """One table's part of a seal against the log: where it stood, and which files held the round's rows."""
    part = seal.tables.get(story.name)
    name = seal_name(seal.loop, seal.round)
    if part is None:  # a table that a later Ratchet added
        folder = f"loop={seal.loop}/round={seal.round}/"
        for path, file in story.live.items():
            if path.startswith(folder):
                findings.damage(file.name, f"holds rows of a round that {name} had sealed without it")
        return
    running = story.running.get(part.version)
    if running is not None and running != part.log:
        findings.damage(
            f"tables/{story.name}/_delta_log",
            f"was edited: up to entry {part.version} it is not what {name} sealed",
        )
    elif running is None and part.version not in story.hashes:
        findings.damage(
            f"tables/{story.name}/_delta_log/{part.version:020d}.json", f"is missing; {name} sealed it"
        )
    for checkpoint, sha256 in part.checkpoints.items():
        story.vouched.setdefault(checkpoint, sha256)
        if story.vouched[checkpoint] != sha256:
            findings.damage(
                name, f"gives checkpoint {checkpoint} of {story.name} another hash than the log does"
            )
    folder = f"loop={seal.loop}/round={seal.round}/"
    live = {file.name: file for path, file in story.live.items() if path.startswith(folder)}
    for file in part.files:
        if live.get(file.name) != file:
            findings.damage(file.name, f"{name} seals it, the log does not hold it as it was")
    for extra in live.keys() - {file.name for file in part.files}:
        findings.damage(extra, f"holds rows of a round that {name} had sealed without it")


def _check_checkpoints(
    lake: Lake, log: str, story: TableStory, files: Sequence[Entry], findings: Findings
) -> None:
    """Delta's checkpoints: by hash where one is on record, else by holding what they say against the log."""
    there = [file.name.rpartition("/")[2] for file in files]
    checkpoints = sorted(name for name in there if CHECKPOINT.fullmatch(name))
    for name in checkpoints:
        sha256 = story.vouched.get(name)
        if sha256 is not None and lake.store.digest(f"{log}/{name}") != sha256:
            findings.damage(f"{log}/{name}", "was changed: another hash is on record")
        damaged = {finding.where for finding in findings.items}
        if (
            sha256 is None or name == checkpoints[-1]
        ) and f"{log}/{name}" not in damaged:  # readers go by the newest
            with findings.noting(f"{log}/{name}"):
                check_checkpoint(lake, log, int(name[:20]))
    for name in story.vouched.keys() - set(there):
        if CHECKPOINT.fullmatch(name):
            findings.damage(f"{log}/{name}", "is missing")
