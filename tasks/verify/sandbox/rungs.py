"""The ladder: what a kernel may permit, safest first. A rung is used only after its canaries (canaries.py)
failed to escape; below the last rung nothing runs.

    rung         namespaces  Landlock     seccomp  scratch
    full         all six     1 or later   yes      in memory, capped
    landlock     none        3 or later   yes      none: nothing could cap its size
    namespaces   all six     none         yes      in memory, capped

On every rung: limits, no capability, no_new_privs, death with the parent, private pipes and nothing else
open.
"""

from __future__ import annotations

import os
import sys

from tasks.verify.sandbox import landlock, namespaces, privileges, seccomp

RUNGS = ("full", "landlock", "namespaces")

Limits = dict[str, int]  # cpu_s, memory_bytes, scratch_bytes

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_LOADER_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")


def readable() -> list[str]:
    """What a program may read: the standard library, and the shared libraries that its modules load."""
    own = (
        os.path.dirname(os.__file__),
        os.path.join(sys.base_prefix, "lib"),
        os.path.join(sys.base_exec_prefix, "lib"),
    )
    return [*dict.fromkeys((*own, *_LIBRARIES, *_LOADER_FILES))]


def separate(rung: str, limits: Limits, paths: list[str]) -> None:
    """The part of a rung that comes before the fork: its namespaces. OSError where refused."""
    if rung not in RUNGS:
        raise ValueError(f"no rung is called {rung!r}")
    if rung == "landlock":
        os.chdir("/")
    else:
        namespaces.enter(paths, limits["scratch_bytes"])


def lock(rung: str, limits: Limits, paths: list[str]) -> None:
    """The part after the fork, in order; afterwards this process can do what a candidate may. OSError where
    refused.
    """
    least = {"full": 1, "landlock": landlock.TRUNCATION_ABI, "namespaces": 0}[rung]
    if landlock.abi() < least:
        raise OSError(f"Landlock {landlock.abi()} here, and rung {rung!r} needs {least}")
    privileges.limit(limits["cpu_s"], limits["memory_bytes"], limits["scratch_bytes"])
    privileges.drop()
    if least:
        landlock.restrict(paths, () if rung == "landlock" else (namespaces.SCRATCH,))
    seccomp.install()


def lock_referee(rung: str, limits: Limits, paths: list[str]) -> None:
    """The same for the referee, which writes no file: its tests are data too."""
    privileges.limit(limits["cpu_s"], limits["memory_bytes"], 0)
    privileges.drop()
    if rung != "namespaces":
        landlock.restrict(paths, ())
    seccomp.install()
