"""Named points at which a test can end the process, so that faults are reached by name, not by luck.

`RATCHET_FAULT=name` or `name#3` kills the process with SIGKILL the first or third time the point is
reached. Unset, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_wanted, _, _nth = os.environ.get("RATCHET_FAULT", "").partition("#")
_seen: Counter[str] = Counter()


def reached(point: str) -> None:
    """Die here, at once and without clean-up, where the environment asks for it."""
    if point != _wanted:
        return
    _seen[point] += 1
    if _seen[point] == int(_nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
