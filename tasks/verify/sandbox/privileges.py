"""What a process gives up for good: resources beyond its limits, capabilities, new privileges, life after its
parent.
"""

from __future__ import annotations

import ctypes
import os
import resource

from tasks.verify.sandbox.syscalls import checked, libc, syscall

OPEN_FILES = 64
_SIGKILL = 9  # `signal` would bring `enum` into every child, a tenth of its start
_CAPABILITY_VERSION_3 = 0x20080522
_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVS, _SET_CHILD_SUBREAPER = 1, 38, 36


def limit(cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """Hard limits on this process: seconds of CPU, bytes of address space, bytes of one file, and no core."""
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 32),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def drop() -> None:
    """Gives up every capability and any way to a new one: no_new_privs first, then an empty set."""
    _prctl(_SET_NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    syscall("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def die_first() -> None:
    """Where the machine runs out of memory, the kernel is to choose this process; it may also refuse."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        return


def die_with_parent(parent: int | None = None) -> None:
    """SIGKILL to this process when its parent ends; at once where `parent`, if named, has ended already.

    The kernel forgets it when credentials change: to be set again after entering a user namespace.
    """
    _prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of whatever its descendants leave behind."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(each) for each in (value, 0, 0, 0)]
    checked(libc.prctl(ctypes.c_int(option), *arguments), "prctl")
