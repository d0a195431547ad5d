"""The command line in processes of its own, as a user runs it: without Prefect, or by one server for all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.commands.environment import SETTINGS as QUIET
from flows.commands.prefect_server import SILENT
from tests.forked import REPOSITORY, Forks, forking

LOADED = (
    "flows.cli",
    "flows.nightly",
    "flows.commands.prefect_server",
    "flows.pages.show",
    "tasks.train.launch",
    "tests.flows.inventing",
    "tests.flows.plain",
    "tests.flows.test_steps",
    "tests.serving.round",
    "tests.train.parent",
    "tests.train.short_of_memory",
    "tests.warm",
)
_FORKS: dict[str, Forks] = {}  # PREFECT_HOME -> the process that forks commands for it


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands whose nights run without Prefect, as most tests of rounds need them."""
    environment = {"PREFECT_HOME": str(tmp_path_factory.mktemp("plain"))}
    if _FORKS:  # one that has loaded all is there already
        _FORKS[environment["PREFECT_HOME"]] = next(iter(_FORKS.values()))
        yield environment
        return
    with forking(LOADED, QUIET | environment) as _FORKS[environment["PREFECT_HOME"]]:
        yield environment


def forks_of(environment: dict[str, str]) -> Forks:
    """The process that forks commands for the environment of one of these fixtures."""
    return _FORKS[environment["PREFECT_HOME"]]


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a running Prefect server on this machine, used by everything below."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with (tmp_path_factory.getbasetemp() / "prefect-server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.commands.prefect_server", str(port)],
            stdin=subprocess.PIPE,  # it ends when this closes, and so with these tests, however they end
            stdout=log,
            stderr=log,
            env=os.environ | SILENT | environment,
        )
        try:
            _wait(f"{environment['PREFECT_API_URL']}/health", server)
            with forking(LOADED, QUIET | environment) as _FORKS[environment["PREFECT_HOME"]]:
                yield environment
        finally:
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the Prefect server did not answer at {url}")


def ratchet(
    *arguments: str,
    environment: dict[str, str],
    fault: str | None = None,
    cwd: Path = REPOSITORY,
    anew: bool = False,
    program: str = "",
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own: forked, unless `anew` or for the environment of no fixture.

    Another `program` ("module:function", of `LOADED`) is only ever forked.
    """
    variables = os.environ | environment | ({"RATCHET_FAULT": fault} if fault else {})
    variables["PYTHONPATH"] = str(REPOSITORY)
    forks = _FORKS.get(environment.get("PREFECT_HOME", ""))
    if forks is not None and not anew:
        command_line = "flows.cli:main" if "PREFECT_API_URL" in environment else "tests.flows.plain:main"
        return forks.run(program or command_line, arguments, variables, cwd)
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )
