"""Programs that try to pass without solving anything, or to reach out of the sandbox: one file a group.

A program begins at a line `=== name: what it tries`. Each is asked to `solve(n)`; many would give n * n,
the right answer, if and only if what they try worked. None may ever pass, leave a trace, or leave a
process.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

TESTS = ("assert solve(3) == 9", "assert solve(12) == 144", "for n in (-5, 7):\n    assert solve(n) == n * n")
GROUPS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.txt")))


class Hostile(NamedTuple):
    """One program, and in a sentence what it tries."""

    name: str
    tries: str
    text: str


def read_group(group: str, places: dict[str, str]) -> list[Hostile]:
    """The programs of one group, `@PLACE@` in them replaced by where the test put it."""
    text = (Path(__file__).parent / f"{group}.txt").read_text(encoding="utf-8")
    for place, value in places.items():
        text = text.replace(f"@{place}@", value)
    programs = []
    for part in text.split("=== ")[1:]:
        title, _, program = part.partition("\n")
        name, _, tries = title.partition(": ")
        programs.append(Hostile(name, tries, program))
    return programs
