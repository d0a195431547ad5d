"""A worker: a process of ours that judges one program after another, each with a fresh child and referee.

Started as `python -I -S -B worker.py ROOT`, its environment empty; jobs come as JSON lines on standard input,
findings leave as JSON lines on standard output, and the end of the input is the end. It keeps the wall clock,
kills both processes when that has run out, and goes on only when none of their descendants is left.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

_PATIENCE_S = 1.0  # for a child that closed its pipe to end
_GRACE_S = 5.0  # for killed processes to be gone
_MOST_FINDING = 1 << 16  # bytes
_SIGNALLED = 128  # see child.py
_HIGH = 16


def main(root: str) -> None:
    """Judges until the input ends."""
    privileges.adopt_orphans()
    null = os.open(os.devnull, os.O_RDWR)
    view = rungs.view()
    while line := _line():
        job = {**json.loads(line), "root": root}
        job["view"] = rungs.with_packages(view, job["packages"], job["folders"])
        try:
            finding = examine(job, null)
        except Exception as error:  # ours, whatever it is; the candidate runs elsewhere
            finding = {"outcome": "error", "why": f"{type(error).__name__}: {error}", "share": None}
        _write_all(1, json.dumps(finding).encode("ascii") + b"\n")


def examine(job: dict[str, Any], null: int) -> dict[str, Any]:
    """One program's outcome and why; afterwards none of its processes is left (RuntimeError if one is)."""
    start = time.monotonic()
    requests, replies, findings = os.pipe(), os.pipe(), os.pipe()
    child = _spawn_child(job["root"], null, requests[0], replies[1])
    os.close(requests[0])
    os.close(replies[1])
    referee = _fork_referee(job, null, requests[1], replies[0], findings[1])
    for descriptor in (requests[1], replies[0], findings[1]):
        os.close(descriptor)
    try:
        outcome, why, share = _await(findings[0], start + job["wall_s"], job["wall_s"])
        if outcome == "lost":
            outcome, why = _how_it_ended(child, why)
            share = 0.0 if outcome == "fail" else None
    finally:
        os.close(findings[0])
        _clear((child, referee))
    return {"outcome": outcome, "why": why, "share": share, "seconds": time.monotonic() - start}


def _spawn_child(root: str, null: int, requests: int, replies: int) -> int:
    # From copies far above, so that no descriptor is overwritten before it is copied.
    high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _HIGH) for each in (null, requests, replies)]
    actions = [(os.POSIX_SPAWN_DUP2, high[0], place) for place in (0, 1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, high[1], 3), (os.POSIX_SPAWN_DUP2, high[2], 4)]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.py")
    command = [sys.executable, "-I", "-S", "-B", script, root, str(os.getpid())]
    try:
        return os.posix_spawn(sys.executable, command, {}, file_actions=actions, setsid=True)
    finally:
        for each in high:
            os.close(each)


def _fork_referee(job: dict[str, Any], null: int, requests: int, replies: int, findings: int) -> int:
    worker = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        privileges.die_with_parent(worker)
        for place in (0, 1, 2):
            os.dup2(null, place)
        rungs.lock_referee(job["rung"], job["limits"], job["view"])
        finding = referee.examine(job, Conversation(requests, replies))
    except BaseException as error:
        finding = ("error", f"referee: {type(error).__name__}: {error}", None)
    try:
        _write_all(findings, json.dumps(finding).encode("ascii"))
    finally:
        os._exit(0)


def _await(findings: int, deadline: float, wall_s: float) -> tuple[str, str, float | None]:
    """The referee's finding, or a timeout; the end of this worker when nobody waits for it any more."""
    content = b""
    while True:
        left = deadline - time.monotonic()
        ready = select.select([findings, 0], [], [], left)[0] if left > 0 else []
        if not ready:
            return "timeout", f"no verdict within {wall_s:g} s", None
        if findings not in ready:  # input before an answer can only be its end
            raise SystemExit
        piece = os.read(findings, _MOST_FINDING)
        content += piece
        if not piece:
            break
    if not content:
        return "error", "the referee ended without a finding", None
    outcome, why, share = json.loads(content)
    return outcome, why, share


def _how_it_ended(child: int, why: str) -> tuple[str, str]:
    """What a child that closed its pipe did: crashed, or ended itself, or closed only the pipe."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        state = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            time.sleep(0.002)
        elif state.si_status > _SIGNALLED:
            return "fail", f"the program was ended by signal {state.si_status - _SIGNALLED}"
        else:
            return "tampered", why
    return "tampered", "the program closed the pipe to its referee"


def _clear(pids: tuple[int, ...]) -> None:
    """Kills these processes with their groups, and every orphan that they leave to us, until none is left."""
    for pid in pids:
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        try:
            pid = os.waitpid(-1, os.WNOHANG)[0]
        except ChildProcessError:
            return
        if not pid:
            for each in _children():
                os.kill(each, signal.SIGKILL)
            time.sleep(0.0005)
    raise RuntimeError("a process of the program could not be killed")


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


def _line() -> bytes:
    """The next job: one line of standard input, read without reading beyond it; empty at the end."""
    content = b""
    while not content.endswith(b"\n"):
        piece = os.read(0, 1 << 20)  # a job is sent only after the last one's finding
        if not piece:
            return b""
        content += piece
    return content


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from tasks.verify.sandbox import privileges, referee, rungs
    from tasks.verify.sandbox.conversation import Conversation

    sys.path.remove(sys.argv[1])  # a test's imports are the standard library's
    main(sys.argv[1])
