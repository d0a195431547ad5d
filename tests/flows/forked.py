"""The command line in processes of their own, forked from one that has loaded the libraries and no more.

Loading torch, transformers and Prefect takes seven seconds of a core each time, a fork none. Run as a
program it reads one JSON request a line, and answers with the command's exit code, negative for a signal.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LOADED = ("flows.cli", "flows.nightly", "flows.server", "flows.show", "peft", "tutor.build")
PATIENCE = 300.0  # seconds that a command may take, or loading before the first


@dataclass(frozen=True)
class Forks:
    """A process that forks; one command at a time."""

    server: subprocess.Popen[str]

    def run(
        self, arguments: list[str], environment: Mapping[str, str], cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run` of the command gives; `environment` is the whole of it."""
        assert self.server.stdin
        with tempfile.TemporaryDirectory() as folder:
            said = {name: str(Path(folder) / name) for name in ("stdout", "stderr")}
            request = {"arguments": arguments, "environment": dict(environment), "cwd": str(cwd), **said}
            self.server.stdin.write(json.dumps(request) + "\n")
            self.server.stdin.flush()
            code = int(self._answer(arguments))
            texts = [Path(place).read_text("utf-8") for place in said.values()]
        return subprocess.CompletedProcess(arguments, code, *texts)

    def _answer(self, arguments: list[str]) -> str:
        assert self.server.stdout
        if not select.select([self.server.stdout], [], [], PATIENCE)[0]:
            os.killpg(self.server.pid, 9)
            raise subprocess.TimeoutExpired(arguments, PATIENCE)
        return self.server.stdout.readline() or str(self.server.wait() or 1)


@contextmanager
def forking(environment: Mapping[str, str]) -> Iterator[Forks]:
    """A process that forks, for the time of a block; it loads the libraries under this environment."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.flows.forked"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict(environment),
        cwd=REPOSITORY,
        text=True,
        start_new_session=True,
    ) as server:
        yield Forks(server)
        assert server.stdin
        server.stdin.close()  # then it ends, and leaving the block waits for it


def _serve() -> None:
    """Fork for each request; the child returns from here as the command, to end as any program does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    importlib.import_module("flows.environment").prepare()
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _be(json.loads(line))
            return
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()


def _be(request: dict[str, Any]) -> None:
    """The command, in its environment and folder, with its outputs and its fault."""
    from flows.cli import main
    from warehouse import fault

    for number, name in enumerate((os.devnull, request["stdout"], request["stderr"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    fault.ask(os.environ.get("RATCHET_FAULT", ""))
    sys.argv = ["ratchet", *request["arguments"]]
    main()


if __name__ == "__main__":
    _serve()
