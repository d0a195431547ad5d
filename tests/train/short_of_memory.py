"""A training in a process that may take four gigabytes more than it holds, and no more."""

from __future__ import annotations

import resource
from pathlib import Path

from tasks.train import launch

ROOM = 4 << 30  # bytes


def main(arguments: list[str]) -> int:
    """As the training process itself."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM,) * 2)
    return launch.main(arguments)
