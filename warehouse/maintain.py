"""Maintenance that can run at any time, beside any round: seal what is closed, free what nothing needs.

Covered: nothing that a table's newest version or a seal names is ever touched, nor a file written or
retired in the last `keep_hours`, so that readers and writers under way keep what they see. What no commit
names yet may be a writer's that is about to: whatever `keep_hours` says, it stays for `LEAST_HOURS`, and a
writer that took longer writes its file again (warehouse/log.py). A table whose log is damaged is left alone,
because a lost commit makes live files look like leftovers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from schemas.errors import LogDamaged
from schemas.tables import TABLES
from warehouse.delta.datafile import hash_in_name
from warehouse.delta.journal import half_written
from warehouse.delta.seals import Seal
from warehouse.lake import Lake, names_of
from warehouse.log import Log
from warehouse.models.kept import LOCK, ROOM, are_hashes, folder_name
from warehouse.query import read
from warehouse.seal import seal_rounds, sealable
from warehouse.store.durable import left_behind
from warehouse.store.face import Entry
from warehouse.store.fault import reached
from warehouse.store.trouble import disk_errors
from warehouse.verify.chain import read_chains
from warehouse.verify.findings import Findings
from warehouse.verify.tables import check_log

KEEP_HOURS = 24.0
LEAST_HOURS = 1.0  # that a file stays which no commit names: a writer may be about to commit it
CACHE_DAYS = 30.0  # a fetched copy that nothing has read for so long goes

Advance = Callable[[int], None]


@dataclass
class Maintained:
    """What was done: rounds sealed, files freed with their bytes, and what was left alone and why."""

    sealed: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    bytes: int = 0
    untouched: list[str] = field(default_factory=list)


def maintain(
    log: Log,
    *,
    keep_hours: float = KEEP_HOURS,
    least_hours: float = LEAST_HOURS,
    dry_run: bool = False,
    advance: Advance = lambda _: None,
) -> Maintained:
    """Seal closed rounds, then free files that no table's newest version and no seal names.

    What was retired stays for `keep_hours`, what no commit names for `least_hours` at least. LakeBusy where
    another maintenance is at work; LogDamaged where seals are damaged. With `dry_run` nothing changes and the
    result says what would.
    """
    lake, report = log.lake, Maintained()
    unnamed_hours = max(keep_hours, least_hours)
    with disk_errors("maintenance stopped"), lake.store.exclusive("maintain", wait=False):
        for loop in sealable(lake):
            if dry_run:
                report.sealed.append(loop)
                continue
            report.sealed += [f"{seal.loop}/{seal.round}" for seal in seal_rounds(log, loop)]
        seals = _seals(lake)
        for table in TABLES:
            _vacuum(lake, table, seals, (keep_hours, unnamed_hours), dry_run, report)
            advance(1)
        _free_models(lake, unnamed_hours, dry_run, report)
        _clear(lake, unnamed_hours, dry_run, report)
        _trim_cache(lake, dry_run, report)
    return report


def _seals(lake: Lake) -> list[Seal]:
    findings = Findings()
    chains = read_chains(lake, findings)
    if not findings.clean:
        first = next(finding for finding in findings.items if finding.kind == "damage")
        raise LogDamaged(f"{first.where}: {first.what}; nothing is freed before `ratchet verify` is clean")
    return [seal for chain in chains.values() for seal in chain]


def _vacuum(
    lake: Lake,
    table: str,
    seals: Sequence[Seal],
    hours: tuple[float, float],
    dry_run: bool,
    report: Maintained,
) -> None:
    """Free a table's files that nothing names, once they are so many hours old: those that were retired, and
    those that no commit ever named. Listed first, looked up after: what is committed between the two is not
    in the list.
    """
    files = lake.store.entries(f"tables/{table}")
    if not files:
        return
    findings = Findings()
    in_log = [file for file in files if file.name.startswith(f"{lake.log(table)}/")]
    story = check_log(lake, table, seals, in_log, findings)
    delta = lake.open(table)
    if not findings.clean or delta is None:
        report.untouched.append(f"table {table}: its log is damaged, see `ratchet verify`")
        return
    needed = set(names_of(delta, table)) | {file.name for seal in seals for file in seal.files(table)}
    retired = {file.name: story.retired_at[path] for path, file in story.retired.items()}
    now, (keep_hours, unnamed_hours) = lake.store.now(), hours
    for file in sorted(set(files) - set(in_log), key=lambda file: file.name):
        before = now - (keep_hours if file.name in retired else unnamed_hours) * 3600
        if file.name in needed or max(file.modified, retired.get(file.name, 0.0)) > before:
            continue
        if file.name in retired or hash_in_name(file.name):
            _free(lake, file, dry_run, report)
            reached("maintain: file freed")
        elif not _temporary(file):
            report.untouched.append(f"{file.name}: does not belong to the table")


def _free_models(lake: Lake, hours: float, dry_run: bool, report: Maintained) -> None:
    """Free copies of models that no checkpoint names, and what a killed copying left under a name.

    Listed first, looked up after. Whoever takes a model in holds the lock and rewrites the list of a copy
    that is there already, so that a copy about to be named is younger than `hours`.
    """
    before = lake.store.now() - hours * 3600
    copies = _models(lake)
    if not copies:
        return
    if any(line.startswith("table checkpoints:") for line in report.untouched):
        report.untouched.append("models: the log of table checkpoints is damaged, see `ratchet verify`")
        return
    rows = read(lake, "checkpoints").select("content_hash", "files_hash").unique().iter_rows()
    needed = {folder_name(*hashes) for hashes in rows if are_hashes(*hashes)}
    with lake.store.exclusive(LOCK, wait=True):
        for name, files in _models(lake).items():
            if name in needed or name not in copies or max(file.modified for file in files) > before:
                continue
            for file in sorted(files, key=lambda file: file.name != f"{name}.json"):  # the list first
                _free(lake, file, dry_run, report)
                reached("maintain: file freed")


def _models(lake: Lake) -> dict[str, list[Entry]]:
    """The files of each copy of a model, its list among them, by the name of its folder."""
    copies: dict[str, list[Entry]] = {}
    for file in lake.store.entries(ROOM):
        name = "/".join(file.name.split("/")[:2]).removesuffix(".json")
        copies.setdefault(name, []).append(file)
    return copies


def _clear(lake: Lake, hours: float, dry_run: bool, report: Maintained) -> None:
    """Free what killed writers left half-written, under names that nobody reads."""
    before = lake.store.now() - hours * 3600
    for file in lake.store.entries(""):
        if _temporary(file) and file.modified <= before:
            _free(lake, file, dry_run, report)


def _temporary(file: Entry) -> bool:
    name = file.name.rpartition("/")[2]
    in_log = "/_delta_log/" in file.name and half_written(name)
    spare = file.name.startswith("spare/.")
    return (
        in_log
        or spare
        or left_behind(name)
        or (name.startswith(".") and not file.name.startswith("trainings/"))
    )


def _trim_cache(lake: Lake, dry_run: bool, report: Maintained) -> None:
    """Drop a bucket's copies on this machine that were not used for long."""
    for file in lake.store.stale(CACHE_DAYS * 86400):
        with suppress(FileNotFoundError):  # another process may trim too
            report.bytes += file.stat().st_size
            report.freed.append(str(file))
            if not dry_run:
                file.unlink()


def _free(lake: Lake, file: Entry, dry_run: bool, report: Maintained) -> None:
    report.freed.append(file.name)
    report.bytes += file.size
    if not dry_run:
        lake.store.delete(file.name)
