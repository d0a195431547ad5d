"""Real vLLM: `make test-vllm` installs it and runs this folder; the ordinary suite leaves it out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from schemas.engine import Vllm
from schemas.errors import BadInput
from tasks.generate.vllm.command import program
from tests.conftest import REPOSITORY
from tests.flows.conftest import SMALL
from warehouse.lake import Lake

SETTINGS = (
    *(one for one in SMALL if not one.startswith("shard_size")),
    "shard_size=12",
    "verification.judge.share=0.2",
)


@pytest.fixture(scope="session", autouse=True)
def _vllm() -> None:
    try:
        program(Vllm())
    except BadInput as error:
        pytest.skip(str(error))


class Run:
    """`ratchet run` on the tutor with vLLM as its engine, in a process of its own: one round."""

    def __init__(self, lake: Path, log: Path) -> None:
        self.lake, self.log = lake, log
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        command = [sys.executable, "-m", "flows.cli", "run", "rft", "--lake", str(lake), "--engine", "vllm"]
        with log.open("ab") as log_file:
            self.process = subprocess.Popen(
                [*command, *settings],
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                cwd=REPOSITORY,
                stdout=subprocess.DEVNULL,
                stderr=log_file,
            )

    def ends(self) -> str:
        """Waits for its end; all it has said."""
        self.process.wait(900)
        text = self.log.read_text()
        assert self.process.returncode == 0, text
        return text

    def children(self) -> list[psutil.Process]:
        """All processes it has started, and those they have."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def engines(self) -> list[psutil.Process]:
        """vLLM's own processes that hold the model."""
        return [one for one in self.children() if one.is_running() and "VLLM::" in _title(one)]

    def written(self) -> int:
        """Commits of answers so far."""
        return len(list(self.lake.glob("tables/candidates/_delta_log/*.json")))


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def ended() -> Iterator[Callable[[Run], Run]]:
    """Runs that are over with their test, whatever comes of it."""
    runs: list[Run] = []

    def kept(run: Run) -> Run:
        runs.append(run)
        return run

    yield kept
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, str]:
    """A round that nothing happened to, and what it said."""
    folder = tmp_path_factory.mktemp("undisturbed")
    log_text = Run(folder / "lake", folder / "said").ends()
    return Lake(folder / "lake"), log_text


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
