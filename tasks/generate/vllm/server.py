"""A server that this run starts and holds: on loopback, waited for until healthy, gone with the run.

The command runs under supervisor.py, which ends it with this process however that ends. What it writes goes
to a log, whose last error is quoted where it dies.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import httpx

from schemas.errors import ServerFailed
from tasks.generate.vllm import supervisor

Say = Callable[[str], None]

LOOK = 0.25  # seconds between two looks at whether it is healthy
NEWS = 30.0  # seconds between two lines that say it is still starting
GRACE = 10.0  # seconds it has to end by itself
LEAVE = 20.0  # seconds more until its supervisor is given up
LONGEST = 300  # characters of a log's line in an error
LOG_END = 256 * 1024  # bytes of a log that are read for its last error

_ERROR = re.compile(r"\b\w*(Error|Exception)\b: .+|\berror: .+|\bKilled\b.*")
_CONSEQUENCE = re.compile(r"Engine core initialization failed|EngineDead|WorkerProc initialization failed")
_PREFIX = re.compile(r"^(\([^)]*\) )?([A-Z]+ [\d-]+ [\d:]+ \[[^]]*\] ?)?")


class Server:
    """A command that serves HTTP on `port` of loopback, from its start to its end. Use it as a context.

    `say` hears a line where it takes long. Raises ServerFailed where it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        grace: float = GRACE,
    ) -> None:
        self.port, self.log, self._grace = port, log, grace
        self.url = f"http://127.0.0.1:{port}"
        with log.open("wb") as log_file:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and the recipe's command, no shell)
                [sys.executable, "-I", supervisor.__file__, str(grace), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=os.environ | (environment or {}),
                start_new_session=True,  # Ctrl-C is the run's to handle
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        self.group = int(line) if line else None
        """The process group of the command; None: it could not be run."""

    def wait(self, seconds: float, path: str = "/health", say: Say | None = None) -> None:
        """Until it answers `path` with 200. ServerFailed where it dies, or takes longer than `seconds`."""
        start = last_line = time.monotonic()
        while not self.healthy(path):
            now = time.monotonic()
            if not self.runs:
                raise ServerFailed(f"the server died while it started: {self.last_words()}; see {self.log}")
            if now - start > seconds:
                self.stop()
                why = f"the server was not healthy after {seconds:.0f} s"
                raise ServerFailed(f"{why}: {self.last_words()}; see {self.log}")
            if say is not None and now - last_line >= NEWS:
                last_line = now
                say(f"  the server is still starting, {now - start:.0f} s; it is given {seconds:.0f} s")
            time.sleep(LOOK)

    def healthy(self, path: str = "/health") -> bool:
        """Whether it runs and answers `path` with 200."""
        try:
            return self.runs and httpx.get(self.url + path, timeout=10.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def runs(self) -> bool:
        """Whether the command's first process is alive."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Its last error from its log, in one line: the cause, not what followed from it."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LOG_END))
            lines = log.read().decode("utf-8", "replace").splitlines()
        plain = ["".join(c for c in _PREFIX.sub("", line) if c.isprintable()).strip() for line in lines]
        errors = [line for line in plain if _ERROR.search(line)]
        causes = [line for line in errors if not _CONSEQUENCE.search(line)]
        last = next(iter((causes or errors or [line for line in plain if line])[-1:]), "it left no message")
        return last[:LONGEST]

    def stop(self) -> None:
        """End it and all it started; returns when nothing of it is left. Again: nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(self._grace + LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode < 0 and self.group is not None:  # the supervisor was killed
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)
        self.group = None
        self._process.stdout.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
