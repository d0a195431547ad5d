"""What a table's log says of one round's partition: its live files and its units, folded from its entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import LogDamaged
from warehouse.delta.journal import LogEntry, problem
from warehouse.delta.seals import SealedFile


@dataclass(frozen=True)
class History:
    """What the log says was written to a round's partition of a table: its live files and its units.

    `later` is the first version with facts of a later round of the loop; none: there is no such entry.
    """

    files: list[SealedFile]
    units: list[str]
    later: int | None


def history(table: str, entries: Iterable[LogEntry], loop: str, number: int) -> History:
    """Fold log entries into one partition's units and the files that were added and not retired."""
    folder = f"loop={loop}/round={number}/"
    files: dict[str, SealedFile] = {}
    units: dict[str, None] = {}
    later: int | None = None
    for entry in entries:
        if wrong := problem(entry):
            raise LogDamaged(f"{entry.name}: {wrong}; restore it before the round is sealed")
        for key in [*entry.units, *entry.described.get("compacted", {}).get("units", [])]:
            if str(key).startswith(f"{loop}/{number:05d}/"):
                units[str(key)] = None
            elif later is None and _is_later(str(key), loop, number):
                later = entry.version
        for path, facts in entry.described.get("files", {}).items():
            if path.startswith(folder):
                name = f"tables/{table}/{path}"
                files[path] = SealedFile(name, facts["rows"], facts["size"], facts["sha256"])
        for retired in entry.of("remove"):
            files.pop(str(retired.get("path")), None)
    return History(list(files.values()), list(units), later)


def _is_later(key: str, loop: str, number: int) -> bool:
    """Whether a unit's key is of a later round of a loop."""
    of, round_number = key.split("/")[:2]
    return of == loop and int(round_number) > number
