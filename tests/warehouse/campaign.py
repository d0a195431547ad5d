"""The fault campaign's tools: work done in a process that ends as asked, and its refusals.

Run as a program (`python -m tests.warehouse.campaign FOLDER`), it fills a small disk that is mounted there.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from schemas.errors import RatchetError
from tests.warehouse.processes import process
from tests.warehouse.story import facts, play, same
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.maintain import maintain
from warehouse.seal import seal_rounds
from warehouse.store.fault import ask
from warehouse.verify.lake import verify_lake

REFUSED = 3  # exit code of work that ended with one of our own errors

Work = Callable[[Lake], object]


def round_of_work(lake: Lake) -> None:
    """A whole round, sealed, and what nothing needs freed."""
    log = Log(lake)
    play(log, "ada", 0)
    seal_rounds(log, "ada")
    maintain(log, keep_hours=0, least_hours=0)


def in_process(root: Path, work: Work, fault: str = "", largest_file: int | None = None) -> int | None:
    """Do work in a process of its own under a fault; its exit code, negative for a signal."""
    worker = process(_begin, root, work, fault, largest_file)
    worker.start()
    worker.join(120)
    return worker.exitcode


def refusal(lake: Lake, work: Work) -> str | None:
    """Do work here; the one line with which it is refused, None where it completes."""
    try:
        work(lake)
    except RatchetError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


def _begin(root: Path, work: Work, fault: str, largest_file: int | None) -> None:
    if largest_file is not None:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    ask(fault)
    sys.exit(0 if refusal(Lake(root), work) is None else REFUSED)


def _fill(disk: Path) -> None:
    """A disk that is full at one point after another of the work, each a little later than the last."""
    reference = Lake.create(disk.parent / "reference")
    round_of_work(reference)
    lake = Lake.create(disk / "lake")
    refused = 0
    for kilobytes in range(16, 2000, 48):
        _resize(disk, kilobytes)
        message = refusal(lake, round_of_work)
        assert verify_lake(lake).clean, verify_lake(lake).items
        if message is None:
            break
        refused += 1
    _resize(disk, 65536)
    round_of_work(lake)
    assert same(facts(reference), facts(lake))
    assert verify_lake(lake, deep=True).items == [], verify_lake(lake, deep=True).items
    print(refused)


def _resize(disk: Path, kilobytes: int) -> None:
    """Leave so much room on the disk beside what it holds; never less than that."""
    size = sum(path.stat().st_blocks * 512 for path in disk.rglob("*")) // 1024
    subprocess.run(["mount", "-o", f"remount,size={size + kilobytes}k", str(disk)], check=True)


if __name__ == "__main__":
    _fill(Path(sys.argv[1]))
