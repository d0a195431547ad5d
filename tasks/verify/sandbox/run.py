"""The pool of workers, from Ratchet's own process: programs in, findings out, in order, across cores.

Workers are separate processes with an empty environment; this process only writes jobs and reads findings,
each within a bound of time and bytes. A worker that breaks its word is killed with all that it started, its
job becomes an `error`, and a fresh one takes its place.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import cast

from tasks.verify.sandbox import canaries
from tasks.verify.sandbox.packages import package_places
from tasks.verify.sandbox.rungs import RUNGS
from tasks.verify.verifier import Outcome

_ROOT = Path(__file__).resolve().parents[3]
_WORKER = Path(__file__).with_name("worker.py")
_PATIENCE_S = 10.0  # beyond the wall clock, for a worker to kill, clear up and answer
_MOST_FINDING = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use: seconds by the wall, and bytes. The CPU limit follows from the wall's."""

    wall_s: float = 6.0
    memory_bytes: int = 512 << 20
    scratch_bytes: int = 16 << 20
    packages: tuple[str, ...] = ()  # installed ones that programs and tests may import


@dataclass(frozen=True, slots=True)
class Case:
    """One program and its tests. `entry_point` is HumanEval's, whose test defines check(candidate).

    `pairs` are tests of the other form: a standard input and output each, or, where a `function` is named,
    its arguments and its value in JSON. `share`: every test runs, and the finding says how many hold.
    """

    text: str
    tests: tuple[str, ...] = ()
    prompt: str = ""
    entry_point: str | None = None
    in_place: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    function: str | None = None
    share: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A case's outcome and why, the rung it ran on (None where nothing ran), its seconds, and the share of
    its tests that hold (0 or 1 unless the case asks for it).
    """

    outcome: Outcome
    why: str
    rung: str | None
    seconds: float = 0.0
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """The rung that this machine gives this user, or None; `refused` says why not each one above it."""

    name: str | None
    refused: tuple[str, ...]


class Pool:
    """`workers` processes on one rung. Thread-safe; `close` ends every process."""

    def __init__(self, workers: int, rung: str, limits: Limits | None = None) -> None:
        self._rung, self._limits, self._count = rung, limits or Limits(), workers
        self._owner = os.getpid()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(_Worker())

    def judge_all(self, cases: Iterable[Case]) -> Iterator[Finding]:
        """One finding per case, in order, each as soon as it and those before it are there."""
        return self._threads.map(self.examine, cases)

    def examine(self, case: Case) -> Finding:
        """The finding of one case; an `error` where a worker broke."""
        worker = self._idle.get()
        try:
            finding = worker.examine(self._job(case), self._limits.wall_s + _PATIENCE_S)
            return Finding(
                cast(Outcome, finding["outcome"]),
                str(finding["why"]),
                self._rung,
                float(str(finding["seconds"])),
                None if finding["share"] is None else float(str(finding["share"])),
            )
        except (OSError, ValueError, KeyError, TimeoutError) as error:
            worker.end()
            return Finding(
                "error", f"the sandbox's worker broke: {type(error).__name__}: {error}", self._rung
            )
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Ends the workers once they are done; in a fork of the process that made them, nothing."""
        if os.getpid() != self._owner:
            return
        self._threads.shutdown(wait=True, cancel_futures=True)
        for _ in range(self._count):
            self._idle.get().end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _job(self, case: Case) -> dict[str, object]:
        limits = self._limits
        bounds = {
            "cpu_s": int(limits.wall_s) + 2,
            "memory_bytes": limits.memory_bytes,
            "scratch_bytes": limits.scratch_bytes,
        }
        places, folders = package_places(limits.packages)
        job = {**asdict(case), "rung": self._rung, "wall_s": limits.wall_s, "limits": bounds}
        return {**job, "packages": places, "folders": folders}


class _Worker:
    """One worker process, started when it is first needed and again after it broke."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def examine(self, job: dict[str, object], patience_s: float) -> dict[str, object]:
        """One job's finding. OSError, ValueError or TimeoutError where the worker broke."""
        if self._process is None:
            self._process = _start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode("ascii") + b"\n")
        self._process.stdin.flush()
        finding = json.loads(_line(self._process.stdout.fileno(), time.monotonic() + patience_s))
        if not isinstance(finding, dict):
            raise ValueError("a finding that is none")
        return {"seconds": 0.0, "share": None, **finding}

    def end(self) -> None:
        """The end of its input ends a worker that is well, with all it started; one that is not is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children die with it
            process.wait()
        process.stdout.close()


@lru_cache(maxsize=1)
def _compiled() -> None:
    """Compiles what every child loads, where this folder may be written: a child may write nothing."""
    compile_dir(_WORKER.parent, quiet=2)


def _start() -> subprocess.Popen[bytes]:
    _compiled()
    command = [os.path.realpath(sys.executable), "-I", "-S", "-B", str(_WORKER), str(_ROOT)]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own interpreter and script
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={}, cwd="/", start_new_session=True
    )


def _line(descriptor: int, deadline: float) -> bytes:
    content, ready = b"", select.poll()  # select takes no descriptor beyond 1023
    ready.register(descriptor, select.POLLIN)
    while not content.endswith(b"\n"):
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("it gives no answer")
        piece = os.read(descriptor, _MOST_FINDING)
        if not piece or len(content) > _MOST_FINDING:
            raise ValueError("it ended, or answers without end")
        content += piece
    return content


@lru_cache(maxsize=1)
def safe_rung() -> Rung:
    """The first rung of the ladder on which every canary fails to escape; tried once for each process."""
    refused: list[str] = []
    for rung in RUNGS:
        finding = try_rung(rung)
        if finding.outcome == "pass":
            return Rung(rung, tuple(refused))
        refused.append(f"{rung}: {finding.why}")
    return Rung(None, tuple(refused))


def try_rung(rung: str) -> Finding:
    """What the canaries find on one rung: a pass where none escapes."""
    with Pool(1, rung) as pool:
        return pool.examine(Case(canaries.PROGRAM, canaries.TESTS))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=4)
def _pool_of(process: int, rung: str, limits: Limits) -> Pool:
    pool = Pool(cores(), rung, limits)
    atexit.register(pool.close)
    return pool


def shared_pool(rung: str, limits: Limits | None = None) -> Pool:
    """This process's pool under these limits, one worker a core, made when first asked for and closed at
    exit."""
    return _pool_of(os.getpid(), rung, limits or Limits())
