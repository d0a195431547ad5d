"""An S3 server in a process of its own: moto, which puts conditionally as S3 does, told to misbehave.

Each request is answered whole before the next, as a real store does it for one key. Beside moto there are
keys (another access key is refused, as S3 refuses it) and faults, put in place by `Server.fault`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

KEY, SECRET = "reader-and-writer", "a-secret-that-must-not-be-told"
CONTROL = "/-faults"
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@dataclass
class Fault:
    """What happens to the next `times` requests with this method whose path matches.

    `how`: "lose reply" does what is asked and closes the connection; "slow down" answers 503 and does not.
    """

    method: str
    path: str
    how: str
    times: int = 1


@dataclass(frozen=True)
class Server:
    """A running server: its address, and the environment by which programs reach it."""

    address: str

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def bucket(self) -> str:
        """Make a fresh bucket; returns its name."""
        name = f"bucket-{uuid4().hex[:12]}"
        client(self).create_bucket(Bucket=name)
        return name

    def fault(self, *faults: Fault) -> None:
        """Put faults in place, in place of any others."""
        self._control(json.dumps([asdict(fault) for fault in faults]).encode())

    def struck(self) -> int:
        """How many requests the present faults have hit."""
        return int(self._control(None))

    def _control(self, data: bytes | None) -> bytes:
        request = urllib.request.Request(self.address + CONTROL, data=data)
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer: bytes = reply.read()
        return answer


def client(server: Server) -> Any:
    """A plain S3 client of another make, to look behind our back."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.address,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


@contextmanager
def serving(log: Path) -> Iterator[Server]:
    """A server for the time of a block."""
    port = free_port()
    command = [sys.executable, "-m", "tests.warehouse.s3", str(port)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            _wait(port, process)
            yield Server(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the S3 server did not start")


Start = Callable[..., Any]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Front:
    """The server's door: one request at a time, keys looked at, faults in place."""

    def __init__(self, app: App) -> None:
        self.app, self.lock = app, threading.Lock()
        self.faults: list[Fault] = []
        self.struck = 0

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        with self.lock:
            if environ["PATH_INFO"] == CONTROL:
                return self._told(environ, start)
            if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
                text = "The AWS Access Key Id you provided does not exist in our records."
                return _refused(start, "403 Forbidden", "InvalidAccessKeyId", text)
            fault = self._due(environ)
            if fault is not None and fault.how == "slow down":
                return _refused(start, "503 Slow Down", "SlowDown", "Please reduce your request rate.")
            if fault is not None:
                list(self.app(environ, lambda *_: None))
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError("the reply is lost")
            return list(self.app(environ, start))

    def _told(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            length = int(environ["CONTENT_LENGTH"])
            self.faults = [Fault(**one) for one in json.loads(environ["wsgi.input"].read(length))]
            self.struck = 0
        start("200 OK", [])
        return [str(self.struck).encode()]

    def _due(self, environ: dict[str, Any]) -> Fault | None:
        for fault in self.faults:
            meant = fault.method == environ["REQUEST_METHOD"] and re.search(fault.path, environ["PATH_INFO"])
            if fault.times and meant:
                fault.times -= 1
                self.struck += 1
                return fault
        return None


def _refused(start: Start, status: str, code: str, message: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/xml")])
    return [ERROR.format(code=code, message=message).encode()]


def main(port: int) -> None:
    """Serve until ended."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Front(DomainDispatcherApplication(create_backend_app))
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
