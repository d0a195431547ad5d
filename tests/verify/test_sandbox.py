"""The sandbox keeps hostile programs in: none passes, reaches the host, or outlives its run, on any rung."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tasks.verify.sandbox import canaries
from tasks.verify.sandbox.run import Case, Finding, Limits, Pool, cores, safe_rung, try_rung
from tasks.verify.sandbox.rungs import RUNGS
from tests.verify.hostile import GROUPS, TESTS, read_group

REPOSITORY = Path(__file__).resolve().parents[2]
ANSWERS = json.dumps({str(n): n * n for n in (3, 12, -5, 7)})
ABSTRACT = f"ratchet-hostile-{os.getpid()}"
QUICK = Limits(wall_s=0.8)
WORKER = "PYTEST_XDIST_WORKER" in os.environ
SQUARE = "def solve(n):\n    return n * n\n"
LEFT_BEHIND = ("/tmp/ratchet-hostile-left", "/dev/shm/ratchet-hostile-left")

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or safe_rung().name is None, reason=f"no safe rung here: {safe_rung().refused}"
)
pytestmark = on_linux


@cache
def permitted(rung: str) -> str:
    """The rung, where this kernel permits it to this user."""
    finding = try_rung(rung)
    if finding.outcome != "pass":
        pytest.skip(f"rung {rung} is refused here: {finding.why}")
    return rung


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder with the right answers, a link to them, and a file that nobody may change."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "answers.json").write_text(ANSWERS)
    (folder / "victim.txt").write_text("untouched")
    (folder / "link.json").symlink_to(folder / "answers.json")
    return folder


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Servers that give the right answers to whoever connects: on TCP, and on an abstract Unix socket."""
    servers = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    servers[1].bind("\0" + ABSTRACT)
    servers[1].listen()
    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    yield servers[0].getsockname()[1]
    for server in servers:
        server.close()


def serve(server: socket.socket) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        line.sendall(ANSWERS.encode())
        line.close()


@pytest.fixture
def places(canary: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("RATCHET_ANSWERS", ANSWERS)
    return {
        "CANARY": str(canary),
        "PORT": str(port),
        "ABSTRACT": ABSTRACT,
        "REPOSITORY": str(REPOSITORY),
        "PARENT": str(os.getpid()),
    }


def fingerprint(folder: Path) -> str:
    """What lies in a folder: names, contents, modes and times of change."""
    lines = []
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        lines.append(f"{path} {state.st_mode} {state.st_mtime_ns} {hashlib.sha256(content).hexdigest()}")
    return "\n".join(lines)


def sandbox_processes() -> set[int]:
    """The processes of this host that run our child or worker, whoever they became by forking.

    What other workers of this test run began is theirs; a process that has lost its parent counts.
    """
    pids = set()
    others = {pid for pid in processes() if parent(pid) == os.getppid()} - {os.getpid()} if WORKER else set()
    for pid in processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(REPOSITORY / "tasks/verify/sandbox").encode() in command and not others & set(line_of(pid)):
            pids.add(pid)
    return pids


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def parent(pid: int) -> int:
    """Who began a process; 0 for nobody, or where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def line_of(pid: int) -> Iterator[int]:
    """A process's parent, its parent's, and so on."""
    while pid := parent(pid):
        yield pid


def judge(rung: str, texts: list[str], limits: Limits = QUICK) -> list[Finding]:
    with Pool(min(cores(), 4), rung, limits) as pool:
        return list(pool.judge_all([Case(text, TESTS) for text in texts]))


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("group", GROUPS)
def test_no_hostile_program_passes_or_leaves_a_trace(
    rung: str, group: str, places: dict[str, str], canary: Path
) -> None:
    programs = read_group(group, places)
    before = sandbox_processes()
    stdlib = Path(os.__file__).parent
    untouched = fingerprint(canary), fingerprint(REPOSITORY / "tasks/verify/sandbox"), set(stdlib.iterdir())
    findings = judge(permitted(rung), [program.text for program in programs])
    for program, finding in zip(programs, findings, strict=True):
        assert finding.outcome in ("fail", "timeout", "tampered"), (
            f"{program.name} ({program.tries}): {finding}"
        )
    assert (
        fingerprint(canary),
        fingerprint(REPOSITORY / "tasks/verify/sandbox"),
        set(stdlib.iterdir()),
    ) == untouched
    assert not any(map(os.path.exists, LEFT_BEHIND))
    assert not list(stdlib.glob("__pycache__/ratchet_planted*"))
    assert sandbox_processes() <= before


@pytest.mark.parametrize("rung", RUNGS)
def test_an_honest_program_passes_the_hostile_programs_tests(rung: str) -> None:
    (finding,) = judge(permitted(rung), [SQUARE], Limits())
    assert (finding.outcome, finding.rung) == ("pass", rung)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_standard_library_is_there_on_every_rung(rung: str) -> None:
    names = [
        "asyncio",
        "bisect",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "fractions",
        "hashlib",
        "heapq",
        "json",
        "math",
        "re",
        "zlib",
    ]
    text = "import importlib\ndef load(name):\n    return importlib.import_module(name).__name__\n"
    tests = tuple(f"assert load({name!r}) == {name!r}" for name in names)
    with Pool(1, permitted(rung)) as pool:
        assert pool.examine(Case(text, tests)).outcome == "pass"
        assert pool.examine(Case(text, ("assert load('numpy') == 'numpy'",))).outcome == "fail"


def test_there_are_at_least_a_hundred_hostile_programs_and_each_says_what_it_tries() -> None:
    programs = [program for group in GROUPS for program in read_group(group, {})]
    assert len(programs) >= 100
    assert len({program.name for program in programs}) == len(programs)
    assert all(len(program.tries.split()) > 1 for program in programs)


@pytest.mark.parametrize(
    "name",
    [
        "forged-reply-without-nonce",
        "says-broken",
        "oversized-frame",
        "garbage-frame",
        "os-exit-in-call",
    ],
)
def test_an_attack_on_the_protocol_is_called_tampered(name: str) -> None:
    programs = {each.name: each for group in GROUPS for each in read_group(group, {})}
    (finding,) = judge(str(safe_rung().name), [programs[name].text])
    assert finding.outcome == "tampered"


def test_the_hostile_programs_would_get_their_answers_without_a_sandbox(places: dict[str, str]) -> None:
    names = ["reads-answers", "environment", "symlink", "tcp", "abstract-socket", "os-system", "raw-socket"]
    names += ["installed-packages"]
    programs = {each.name: each for group in GROUPS for each in read_group(group, places)}
    for name in names:
        if name == "raw-socket" and os.geteuid() != 0:
            continue
        with tempfile.TemporaryDirectory() as folder:
            code = programs[name].text + "\nprint(solve(12))"
            result = subprocess.run(
                [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=folder
            )
        assert result.stdout.split()[-1:] == ["144"], (
            f"{name} is not the attack that it says: {result.stderr}"
        )


def test_the_canaries_escape_where_there_is_no_sandbox() -> None:
    code = canaries.PROGRAM + f"\nfor name in {canaries.ESCAPES!r}:\n    print(name, '=', escape(name))"
    result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=30)
    escaped = {line.partition(" = ")[0] for line in result.stdout.splitlines() if line.endswith("reached")}
    always = {
        "read /etc/passwd",
        "list /etc",
        "write outside scratch",
        "open an internet socket",
        "fork",
        "execute",
    }
    assert always <= escaped
    if os.geteuid() == 0:
        assert {"read /proc", "chmod", "signal the parent", "start a thread"} <= escaped


def test_a_rung_that_cannot_be_set_up_runs_nothing() -> None:
    with Pool(1, "bare") as pool:
        finding = pool.examine(Case(SQUARE, TESTS))
    assert finding.outcome == "error"
    assert "no rung is called 'bare'" in finding.why


def test_a_killed_worker_takes_its_program_with_it_and_is_replaced() -> None:
    before = sandbox_processes()
    with Pool(1, str(safe_rung().name), Limits(wall_s=30)) as pool:
        findings: list[Finding] = []
        loops = threading.Thread(
            target=lambda: findings.append(pool.examine(Case("while True: pass", TESTS)))
        )
        loops.start()
        while len(sandbox_processes() - before) < 3:
            time.sleep(0.02)
        worker = min(sandbox_processes() - before)
        os.kill(worker, signal.SIGKILL)
        loops.join(10)
        assert [finding.outcome for finding in findings] == ["error"]
        assert pool.examine(Case(SQUARE, TESTS)).outcome == "pass"
    assert sandbox_processes() <= before


def test_nothing_runs_on_when_ratchet_itself_is_killed() -> None:
    before = sandbox_processes()
    code = (
        "from tasks.verify.sandbox.run import *\n"
        f"Pool(1, {safe_rung().name!r}, Limits(wall_s=60)).examine(Case('while True: pass', ('assert f()',)))"
    )
    ratchet = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    while len(sandbox_processes() - before) < 3:
        time.sleep(0.02)
    ratchet.kill()
    ratchet.wait()
    deadline = time.monotonic() + 10
    while sandbox_processes() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sandbox_processes() <= before


@pytest.mark.parametrize(
    ("refused", "rung", "outcome"),
    [
        (("unshare",), "landlock", "pass"),
        (("landlock_create_ruleset",), "namespaces", "pass"),
        (("unshare", "landlock_create_ruleset"), None, "unscorable"),
        (("seccomp",), None, "unscorable"),
    ],
)
def test_a_kernel_that_refuses_a_part_gives_the_next_rung_or_none(
    refused: tuple[str, ...], rung: str | None, outcome: str
) -> None:
    if rung is not None:
        permitted(rung)
    result = subprocess.run(
        [sys.executable, "-c", WITH_REFUSALS, *refused],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["rung"], report["outcome"]) == (rung, outcome), report
    assert (rung is None) == report["rationale"].startswith("no safe rung")


# A filter of system calls in front of everything plays the older or stricter kernel.
WITH_REFUSALS = """
import ctypes, json, sys
from tasks.verify.sandbox import privileges, seccomp, syscalls
from tasks.verify.sandbox.run import safe_rung
from tasks.verify.unit_tests import verify

unshare = {"x86_64": 272, "aarch64": 97}[syscalls.MACHINE]
numbers = [unshare if name == "unshare" else syscalls.number(name) for name in sys.argv[1:]]
lines = [seccomp._instruction(seccomp._LOAD, seccomp._NUMBER)]
for number in numbers:
    lines += [seccomp._instruction(seccomp._JUMP_EQUAL, number, 0, 1)]
    lines += [seccomp._instruction(seccomp._RETURN, seccomp._REFUSE)]
code = b"".join([*lines, seccomp._instruction(seccomp._RETURN, seccomp._ALLOW)])
privileges._prctl(38, 1)
syscalls.syscall("seccomp", 1, 0, ctypes.byref(seccomp._Program(len(code) // 8, code)))
verdict = verify("def f(): return 1", json.dumps({"tests": ["assert f() == 1"]}))
print(json.dumps({"rung": verdict.rung, "outcome": verdict.outcome, "rationale": verdict.reason}))
"""


def test_every_rung_that_root_has_holds_for_an_ordinary_user(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip(
            "needs root and setpriv to become another user; as an ordinary user the other tests say it"
        )
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", version]).returncode:
        pytest.skip("no Python 3.11 that an ordinary user may run")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ignore = shutil.ignore_patterns("__pycache__")
        for package in ("schemas", "tasks", "tests"):
            shutil.copytree(REPOSITORY / package, Path(folder) / package, ignore=ignore)
        command = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            python,
            "-B",
            "-c",
            AS_NOBODY,
        ]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["user"] == 65534
    assert report["rungs"] == [rung for rung in RUNGS if try_rung(rung).outcome == "pass"]
    assert report["honest"] == ["pass"] * len(report["rungs"])
    assert not set(report["hostile"]) & {"pass", "error", "unscorable"}


AS_NOBODY = """
import json, os, sys, tempfile
sys.path.insert(0, os.getcwd())
from tasks.verify.sandbox.rungs import RUNGS
from tasks.verify.sandbox.run import Case, Limits, Pool, try_rung
from tests.verify.hostile import GROUPS, TESTS, read_group

folder = tempfile.mkdtemp()
open(folder + "/answers.json", "w").write(json.dumps({str(n): n * n for n in (3, 12, -5, 7)}))
open(folder + "/victim.txt", "w").write("untouched")
places = {"CANARY": folder, "PORT": "9", "ABSTRACT": "none", "REPOSITORY": os.getcwd()}
places["PARENT"] = str(os.getppid())
groups = ("files", "test_overwriting", "processes", "kernel", "network")
texts = [each.text for group in groups for each in read_group(group, places)]
rungs = [rung for rung in RUNGS if try_rung(rung).outcome == "pass"]
honest, hostile = [], []
for rung in rungs:
    with Pool(1, rung) as pool:
        honest.append(pool.examine(Case("def solve(n): return n * n", TESTS)).outcome)
    with Pool(2, rung, Limits(wall_s=0.8)) as pool:
        hostile += [finding.outcome for finding in pool.judge_all([Case(text, TESTS) for text in texts])]
assert open(folder + "/victim.txt").read() == "untouched"
__import__("shutil").rmtree(folder)
print(json.dumps({"user": os.geteuid(), "rungs": rungs, "honest": honest, "hostile": hostile}))
"""
