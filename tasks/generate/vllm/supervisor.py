"""Holds one server for a run: `python -I supervisor.py SECONDS COMMAND...`, gone with all it started when the
run is gone.

Its standard input is the run's end of a pipe. When that closes, however the run ended, or on SIGTERM, the
command is asked to end, and whatever is left of it so many seconds later is killed. The first line of its
output is the command's group.

Covered: exits of the run of every kind, SIGKILL of it included; a server that ignores SIGTERM; processes that
the server starts, also those that leave its process group or outlive it (on Linux: orphans come to this
process); the command's own death, after which the rest of it is killed; a SIGKILL of this process, which ends
the command's first process (on Linux), and after which the run kills the group. Not covered: SIGKILL of this
process and of the run at the same moment, for what the command had started; a machine that is not Linux, for
processes that leave the group.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

LOOK = 1.0
"""Seconds between two looks at whether the run is still this process's parent."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(grace: float, command: list[str]) -> int:
    """`grace`: seconds between SIGTERM and SIGKILL. The command's exit code (128 + signal where it died by
    one), once nothing of it is left.
    """
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _noted)
    adopts = _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(  # noqa: S603 (the recipe's own command, no shell)
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=_die_with_supervisor,
        )
    except OSError as error:
        print(f"OSError: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 127
    print(server.pid, flush=True)
    try:
        if _told_to_end(server, woken):
            _ask_to_end(server, grace)
    finally:
        _kill_all(server, adopts)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _told_to_end(server: subprocess.Popen[bytes], woken: int) -> bool:
    """Wait until the server ends (False), or the run ends or asks for it (True)."""
    run = os.getppid()
    while server.poll() is None:
        ready, _, _ = select.select([0, woken], [], [], LOOK)
        if (0 in ready and not os.read(0, 4096)) or os.getppid() != run:
            return True
        if woken in ready and set(os.read(woken, 4096)) - {signal.SIGCHLD}:
            return True
    return False


def _ask_to_end(server: subprocess.Popen[bytes], grace: float) -> None:
    _signal_group(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def _kill_all(server: subprocess.Popen[bytes], adopts: bool) -> None:
    """Kill the group, then whoever is left: an orphan of a killed process becomes this one's child."""
    _signal_group(server.pid, signal.SIGKILL)
    server.wait()
    while adopts and (children := _children()):
        for child in children:
            os.kill(child, signal.SIGKILL)  # ours to reap, so the number is nobody else's yet
            os.waitpid(child, 0)


def _children() -> list[int]:
    """Processes whose parent this one is, the dead that nobody waited for included."""
    children = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid():
            children.append(int(name))
    return children


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # gone; PermissionError is macOS's word for that
        return


def _die_with_supervisor() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    """Whether the kernel took it: Linux only."""
    return sys.platform == "linux" and int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0)) == 0


def _noted(number: int, frame: object) -> None:
    """The wake-up pipe says which signal came."""


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
