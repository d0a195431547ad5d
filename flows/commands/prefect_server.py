"""A Prefect server for one run, where the user has none: on loopback, quiet, and gone with its run.

The server watches its standard input and ends when that closes, so that not even a SIGKILL of the run
leaves it behind. A user's own server (PREFECT_API_URL, or a Prefect profile) is used as it is.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from schemas.errors import RatchetError

PATIENCE = 180.0  # seconds a server may take to answer
SILENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


@contextmanager
def prefect_server() -> Iterator[Callable[[], None]]:
    """Start a server unless the user has one; call the result to wait until it answers, before a flow."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOGGING_TO_API_ENABLED,
        get_current_settings,
        temporary_settings,
    )

    if get_current_settings().api.url:
        yield lambda: None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "flows.commands.prefect_server", str(port)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | SILENT,
            start_new_session=True,  # Ctrl-C is the run's to handle, not the server's
        )
        try:
            # Nobody will read its logs, and they would still be on their way when it ends.
            with temporary_settings({PREFECT_API_URL: address, PREFECT_LOGGING_TO_API_ENABLED: False}):
                yield lambda: _wait(f"{address}/health", server, log)
        finally:
            server.kill()  # its database is a log of runs: nothing in it is worth a slow goodbye
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    log.seek(0)
    last = (log.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
    raise RatchetError(f"Prefect's server did not start within {PATIENCE:.0f} s: {last}")


def _end_with_run() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def main(port: int) -> None:
    """Serve Prefect's API until standard input closes."""
    threading.Thread(target=_end_with_run, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app, factory=True, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    main(int(sys.argv[1]))
