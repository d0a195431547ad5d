"""Named points at which a test can end the process or have the disk fail, by name and not by luck.

`RATCHET_FAULT=name` or `name#3` kills the process with SIGKILL the first or third time the point is
reached; `name#3=ENOSPC` raises that OSError there instead, and `name#3+=ENOSPC` there and ever after.
Unset, a point costs one comparison.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections import Counter

_FAULT = re.compile(r"(?P<point>[^#=]+)(?:#(?P<nth>\d+)(?P<on>\+)?)?(?:=(?P<error>[A-Z]+))?")
_wanted: re.Match[str] | None = None
_seen: Counter[str] = Counter()


def ask(fault: str) -> None:
    """Set this fault from now on, its count begun anew; an empty one sets none."""
    global _wanted
    _wanted = _FAULT.fullmatch(fault)
    _seen.clear()


def reached(point: str) -> None:
    """Fail here if the fault names this point: die at once without clean-up, or raise an OSError."""
    if _wanted is None or point != _wanted["point"]:
        return
    _seen[point] += 1
    nth = int(_wanted["nth"] or 1)
    if _seen[point] < nth or (_seen[point] > nth and not _wanted["on"]):
        return
    if _wanted["error"] is None:
        os.kill(os.getpid(), signal.SIGKILL)
    number = getattr(errno, _wanted["error"])
    raise OSError(number, os.strerror(number))


ask(os.environ.get("RATCHET_FAULT", ""))
