"""Nights small enough to run many times: without Prefect, or by one Prefect server for all tests of flows."""

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
from flows.recipes.rooms import parse_recipe
from schemas.recipes.parsing import load_recipe
from schemas.recipes.rft import Rft
from tests.conftest import REPOSITORY
from tests.forked import Forks, forking

SMALL = (
    "prompts.per_round=24",
    "prompts.eval_count=16",
    "sampling.samples=4",
    "evaluation.sampled_count=4",
    "evaluation.samples=2",
    "training.batch_size=4",
    "training.save_every=2",
    "gate.alpha=1.0",
    "shard_size=8",
)

LOADED = (
    "flows.cli",
    "flows.nightly",
    "flows.commands.prefect_server",
    "flows.pages.show",
    "tests.flows.inventing",
    "tests.flows.plain",
    "tests.flows.test_steps",
    "tests.serving.round",
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
    given = os.environ | environment | ({"RATCHET_FAULT": fault} if fault else {})
    given["PYTHONPATH"] = str(REPOSITORY)
    forks = _FORKS.get(environment.get("PREFECT_HOME", ""))
    if forks is not None and not anew:
        command_line = "flows.cli:main" if "PREFECT_API_URL" in environment else "tests.flows.plain:main"
        return forks.run(program or command_line, arguments, given, cwd)
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(
        command, env=given, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )


def small_night(lake: Path, rounds: int = 2) -> list[str]:
    """Arguments of a whole night on the tutor that takes seconds."""
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return ["run", "rft", "--lake", str(lake), "--rounds", str(rounds), *settings]


@pytest.fixture
def small_recipe() -> Rft:
    """The same recipe as a value."""
    from schemas.recipes.parsing import with_value

    values = load_recipe(REPOSITORY / "tutor" / "rft.yaml")
    for setting in SMALL:
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    return parse_recipe(values)
