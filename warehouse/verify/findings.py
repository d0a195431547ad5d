"""What a check of the lake finds: damage, which loses or changes facts; leftovers and what became of retired
files, which do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import duckdb

from schemas.errors import RatchetError

Kind = Literal["damage", "leftover", "retired"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is not as it should be: `where` names the file, `what` says it in one line."""

    kind: Kind
    where: str
    what: str


@dataclass
class Findings:
    """What was looked at, in files and bytes, and what was found; `empty`: no table has an entry."""

    items: list[Finding] = field(default_factory=list)
    files: int = 0
    size: int = 0
    empty: bool = False

    def damage(self, where: str, what: str) -> None:
        """Facts are lost or changed."""
        self._add(Finding("damage", where, what))

    def leftover(self, where: str, what: str) -> None:
        """No fact is touched; `ratchet maintain` clears it away or finishes it."""
        self._add(Finding("leftover", where, what))

    def retired(self, where: str, what: str) -> None:
        """A retired file is not what was written. No fact is touched, but the disk may be rotting."""
        self._add(Finding("retired", where, what))

    def _add(self, finding: Finding) -> None:
        if finding not in self.items:
            self.items.append(finding)

    @contextmanager
    def noting(self, where: str) -> Iterator[None]:
        """What cannot be read inside the block is damage there, and the check goes on."""
        try:
            yield
        except RatchetError as error:
            self.damage(where, str(error))
        except PermissionError:
            raise
        except (OSError, duckdb.Error) as error:
            self.damage(where, f"cannot be read: {' '.join(str(error).split())[:200]}")

    @property
    def clean(self) -> bool:
        """Whether every fact is there and unchanged."""
        return all(finding.kind != "damage" for finding in self.items)
