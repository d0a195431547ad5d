"""Promises of a server that a run starts: waited for, quoted where it dies, and gone with the run, however
that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import ServerFailed
from tasks.generate.vllm.server import Server, free_port
from tests.conftest import REPOSITORY

STAND_IN = r'''
"""A server with a child in its group and one in a session of its own; each notes its number in a folder."""
import os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
port, folder, manner = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def note(name, number):
    with open(os.path.join(folder, name), "w") as file:
        file.write(str(number))
note("server", os.getpid())
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for name, apart in (("engine", False), ("stray", True)):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    note(name, subprocess.Popen([sys.executable, "-c", code], start_new_session=apart).pid)
if manner == "dies":
    print("(EngineCore pid=7) ERROR 11-21 14:00:00 [core.py:1] ValueError: head size 7 is not taken")
    print("RuntimeError: Engine core initialization failed. See root cause above.")
    sys.exit(1)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if manner == "sick" else 200)
        self.end_headers()
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''
RUN = """
import os, signal, sys
from pathlib import Path
from tasks.generate.vllm.server import Server, free_port
script, folder, how = sys.argv[1:]
port = free_port()
server = Server([sys.executable, script, str(port), folder, "well"], port, Path(folder, "log"))
server.wait(60)
print("healthy", flush=True)
if how == "raises":
    raise KeyError(how)
if how == "waits":
    signal.pause()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return path


@pytest.fixture
def start(script: Path, tmp_path: Path) -> Callable[..., Server]:
    def started(manner: str, grace: float = 10.0) -> Server:
        port = free_port()
        command = [sys.executable, "-u", str(script), str(port), str(tmp_path), manner]
        return Server(command, port, tmp_path / "log", grace=grace)

    return started


def living(folder: Path) -> list[str]:
    """Which of the stand-in's three processes are alive; all must have been begun."""
    names = []
    for name in ("server", "engine", "stray"):
        process = int((folder / name).read_text())
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            names.append(name)
    return names


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_stopped_server_leaves_nothing_behind(start: Callable[..., Server], tmp_path: Path) -> None:
    with start("well") as server:
        server.wait(60)
        assert server.healthy()
        assert living(tmp_path) == ["server", "engine", "stray"]
    assert living(tmp_path) == []
    assert not server.healthy()
    server.stop()


def test_a_server_that_ignores_the_word_is_killed(start: Callable[..., Server], tmp_path: Path) -> None:
    with start("stubborn", grace=0.5) as server:
        server.wait(60)
    assert living(tmp_path) == []


def test_a_server_that_dies_is_quoted_with_the_cause_and_not_what_followed(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    with start("dies") as server, pytest.raises(ServerFailed, match="died while it started") as failure:
        server.wait(60)
    assert "ValueError: head size 7 is not taken" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert str(tmp_path / "log") in str(failure.value)
    assert living(tmp_path) == []


def test_a_server_that_never_gets_healthy_is_ended_in_time(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    lines: list[str] = []
    with start("sick") as server:
        assert within(30, lambda: (tmp_path / "stray").exists())
        with pytest.raises(ServerFailed, match="not healthy after 1 s"):
            server.wait(1, say=lines.append)
        assert living(tmp_path) == []


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused = pytest.raises(ServerFailed, match="/no/such/program cannot be run")
    with Server(["/no/such/program"], free_port(), tmp_path / "log") as server, refused:
        server.wait(30)


def test_a_death_under_way_is_seen_and_takes_the_rest_along(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    with start("well") as server:
        server.wait(60)
        os.kill(int((tmp_path / "server").read_text()), signal.SIGKILL)
        assert within(20, lambda: not server.runs)
        assert living(tmp_path) == []
        assert not server.healthy()


def test_a_server_whose_supervisor_was_killed_is_ended_all_the_same(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    with start("well") as server:
        server.wait(60)
        stat = Path(f"/proc/{(tmp_path / 'server').read_text()}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert within(20, lambda: not server.runs)
    assert within(20, lambda: "server" not in living(tmp_path) and "engine" not in living(tmp_path))
    os.kill(int((tmp_path / "stray").read_text()), signal.SIGKILL)  # what supervisor.py says is not covered


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("waits", signal.SIGKILL),
        ("waits", signal.SIGTERM),
        ("waits", signal.SIGINT),
        ("raises", None),
        ("returns", None),
    ],
)
def test_no_end_of_the_run_leaves_a_server_behind(
    script: Path, tmp_path: Path, how: str, end: signal.Signals | None
) -> None:
    command = [sys.executable, "-c", RUN, str(script), str(tmp_path), how]
    run = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"healthy\n"
    if end is not None:
        run.send_signal(end)
    run.wait(30)
    run.stdout.close()
    assert within(30, lambda: living(tmp_path) == []), f"left: {living(tmp_path)}"
