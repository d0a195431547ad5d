"""Programs of ours in processes of their own, forked from one that has loaded their libraries and no more.

Loading torch, transformers and Prefect takes seven seconds of a core each time, a fork none, and so does
taking them down again, object by object, for three: a program here ends after its threads and its exit
functions. Run as a program this loads the modules it is given, reads one JSON request a line, and answers
with an exit code each.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE = 300.0  # seconds that a program may take, or loading before the first


@dataclass(frozen=True)
class Forks:
    """A process that forks; one program at a time."""

    server: subprocess.Popen[str]

    def run(
        self,
        main: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path = REPOSITORY,
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run` gives of "module:function" with arguments; `environment` is the whole of it.

        The exit code is negative for a signal.
        """
        assert self.server.stdin
        with tempfile.TemporaryDirectory() as folder:
            outputs = {name: str(Path(folder) / name) for name in ("stdout", "stderr")}
            request = {"main": main, "arguments": arguments, "environment": dict(environment)}
            self.server.stdin.write(json.dumps(request | outputs | {"cwd": str(cwd)}) + "\n")
            self.server.stdin.flush()
            code = self._answer([main, *arguments])
            texts = [Path(place).read_text("utf-8") for place in outputs.values()]
        return subprocess.CompletedProcess([main, *arguments], code, *texts)

    def _answer(self, asked: list[str]) -> int:
        assert self.server.stdout
        if not select.select([self.server.stdout], [], [], PATIENCE)[0]:
            os.killpg(self.server.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(asked, PATIENCE)
        answer = self.server.stdout.readline()
        assert answer, "the process that forks has ended"
        return int(answer)


@contextmanager
def forking(load: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Forks]:
    """A process that forks, for the time of a block; it loads modules under this environment."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.forked", *load],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict(environment or {}),
        cwd=REPOSITORY,
        text=True,
        start_new_session=True,
    ) as server:
        yield Forks(server)
        assert server.stdin
        server.stdin.close()  # then it ends, and leaving the block waits for it


def _serve(load: Sequence[str]) -> int:
    """Fork for each request; in the child this is the program, which ends as any does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in load:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what was loaded is never garbage: no program looks through it again
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _be(json.loads(line))
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()
    return 0


def _be(request: dict[str, Any]) -> NoReturn:
    """The program, in its environment and folder, with its outputs and its fault, to its end."""
    from warehouse.store import fault

    for number, name in enumerate((os.devnull, request["stdout"], request["stderr"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    fault.ask(os.environ.get("RATCHET_FAULT", ""))
    module, _, name = request["main"].partition(":")
    sys.argv = [request["main"], *request["arguments"]]
    code = _code(getattr(sys.modules[module], name), request["arguments"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _code(main: Callable[[list[str]], int | None], arguments: list[str]) -> int:
    """A program's exit code; what Python says of an error that it leaves behind is said."""
    try:
        return int(main(arguments) or 0)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    return 1


if __name__ == "__main__":
    os._exit(_serve(sys.argv[1:]))  # taking all modules down again would take seconds
