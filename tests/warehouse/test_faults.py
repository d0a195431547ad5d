"""The fault campaign: whatever is killed, full or lost, nothing is lost or doubled, and the same work again
completes. Trainings are killed in tests/flows, buckets in test_bucket.py.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.errors import CommitOutcomeUnknown
from schemas.tables import TABLES
from schemas.units import Unit
from tests.conftest import REPOSITORY
from tests.tally import trial
from tests.warehouse.campaign import REFUSED, in_process, refusal, round_of_work
from tests.warehouse.conftest import prompts
from tests.warehouse.story import facts, play, same
from tests.warehouse.test_models import STEPS as KEEPING
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.store import durable
from warehouse.verify.lake import verify_lake

WRITTEN = ("checkpoints", "rounds", "prompts", "candidates", "scores", "decisions", "tokens")
TRAINED = ("trainings", "steps", "evaluations")
HELD = [name for name in TABLES if name in {*WRITTEN, *TRAINED, "snapshots"}]
STEPS = [
    *(f"append {name}: {step}" for name in WRITTEN for step in ("file written", "committed")),
    "freeze: examples written",
    "freeze: manifest written",
    *(f"append {name}: {step}" for name in ("snapshots", *TRAINED) for step in ("file written", "committed")),
    "seal: closed",
    *(
        f"seal {name}: {step}"
        for name in HELD
        for step in ("files written", "compacted")
        if (name, step) != ("tokens", "files written")
    ),
    "seal: written",
    "seal: on record",
    "maintain: file freed",
    "maintain: file freed#3",
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The facts of a round of work that nothing disturbed."""
    lake = Lake.create(tmp_path_factory.mktemp("reference") / "lake")
    round_of_work(lake)
    return facts(lake)


def test_every_named_step_is_in_the_campaign() -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "warehouse").rglob("*.py"))
    named = set(re.findall(r'reached\(f?"([^"]+)"\)', source))
    kinds = {re.sub(r"^(append|seal) \w+:", r"\1 {}:", step.partition("#")[0]) for step in (*STEPS, *KEEPING)}
    assert {re.sub(r"\{[^}]+\}", "{}", name) for name in named} == kinds | {"write", "sync", "link", "rename"}


def test_killed_at_every_named_step_of_a_round_the_same_work_again_completes(
    lake: Lake, reference: dict[str, pl.DataFrame]
) -> None:
    for step in STEPS:
        with trial("killed at a named step"):
            assert in_process(lake.root, round_of_work, step) == -signal.SIGKILL, step
            assert verify_lake(lake).clean, step
    round_of_work(lake)
    assert same(facts(lake), reference)
    assert verify_lake(lake, deep=True).items == []


@pytest.mark.parametrize(("step", "stride"), [("write", 5), ("sync", 19), ("link", 2), ("rename", 4)])
def test_killed_at_the_nth_write_of_any_kind_the_same_work_again_completes(
    disk: Path, reference: dict[str, pl.DataFrame], step: str, stride: int
) -> None:
    """On a real disk: its own syncs, links and renames."""
    lake, number = Lake.create(disk / "lake"), 1
    while (code := in_process(lake.root, round_of_work, f"{step}#{number}")) != 0:
        with trial(f"killed at a {step}"):
            assert code == -signal.SIGKILL
            assert verify_lake(lake).clean, (step, number)
            number += stride
    assert number > stride
    assert same(facts(lake), reference)
    assert verify_lake(lake, deep=True).clean


def small_work(lake: Lake) -> None:
    """Three appends, one of them a group and one empty."""
    log = Log(lake)
    first = Unit("ada", 0, "admit")
    log.once(first, "prompts", lambda: prompts(first, 2))
    group = [Unit("ada", 0, "group", shard) for shard in range(2)]
    log.once_each(group, "prompts", lambda units: [prompts(unit, 2) for unit in units])
    log.once(Unit("ada", 0, "none"), "tokens", lambda: pl.DataFrame())


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("step", ["write", "sync", "link", "rename"])
def test_a_disk_that_fails_at_any_write_is_one_clear_line_and_no_fact_is_lost(
    tmp_path: Path, fault: Callable[[str], None], step: str, error: str
) -> None:
    """For every N: the Nth write, sync or rename of a script of work fails, once or from then on."""
    for lasting in ("", "+"):
        number = hits = 0
        while number == 0 or hits == number:
            number += 1
            root = tmp_path / f"{step}-{number}{lasting}"
            lake = Lake.create(root)
            durable._settled.clear()  # as a process that begins
            fault(f"{step}#{number}{lasting}={error}")
            refusal(lake, small_work)
            hits = number if _hit() >= number else 0
            fault("")
            with trial(f"{error} at a {step}"):
                assert verify_lake(lake).clean
                small_work(lake)
                assert read(lake, "prompts")["prompt_id"].n_unique() == read(lake, "prompts").height == 6
                assert verify_lake(lake).clean
        assert number > 1


def _hit() -> int:
    from warehouse.store import fault as room

    return max(room._seen.values(), default=0)


def test_a_disk_that_fails_while_a_round_is_sealed_leaves_it_to_be_sealed_again(
    lake: Lake, reference: dict[str, pl.DataFrame], fault: Callable[[str], None]
) -> None:
    play(Log(lake), "ada", 0)
    for step, number in [("link", n) for n in range(1, 11, 3)] + [("sync", n) for n in range(4, 90, 17)]:
        durable._settled.clear()
        error = "ENOSPC" if number % 2 else "EIO"
        fault(f"{step}#{number}+={error}")
        with trial(f"{error} while sealing"):
            refusal(Lake(lake.root), round_of_work)
            fault("")
            assert verify_lake(lake).clean
    round_of_work(lake)
    assert same(facts(lake), reference)
    assert verify_lake(lake, deep=True).items == []


def test_files_that_may_not_grow_fail_for_delta_too_and_the_same_work_again_completes(
    disk: Path, reference: dict[str, pl.DataFrame]
) -> None:
    """Real errors of a real disk, also in what Delta writes itself: log entries and checkpoints."""
    lake, refused = Lake.create(disk / "lake"), 0
    for largest in (0, 100, 400, 700, 1000, 2000, 3000, 4000, 6000, 8000, 12000, 20000):
        with trial("a file may not grow"):
            code = in_process(lake.root, round_of_work, largest_file=largest)
            assert code in (0, REFUSED), largest
            assert verify_lake(lake).clean, largest
        refused += code == REFUSED
    assert refused > 4
    round_of_work(lake)
    assert same(facts(lake), reference)
    assert verify_lake(lake, deep=True).clean


def test_a_disk_that_is_really_full_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    enter = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"', str(disk)]
    if subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small disk: this host allows neither mount nor user namespaces")
    result = subprocess.run(
        [*enter, sys.executable, "-m", "tests.warehouse.campaign", str(disk)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    with trial("a disk that is really full"):
        assert int(result.stdout) > 3, (
            "the work was refused at so many sizes of the disk, and went on each time"
        )


@pytest.mark.parametrize("rows", [3, 0])
@pytest.mark.parametrize("error", [CommitFailedError, DeltaError, OSError])
def test_a_commit_that_landed_though_its_answer_was_lost_is_not_done_again(
    log: Log, monkeypatch: pytest.MonkeyPatch, rows: int, error: type[Exception]
) -> None:
    unit, write, calls = Unit("ada", 0, "admit"), DeltaTable.create_write_transaction, []

    def unanswered(self: DeltaTable, *rest: object, **more: object) -> None:
        write(self, *rest, **more)
        if not calls:
            calls.append(1)
            raise error("connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", unanswered)
    with trial("a lost answer"):
        message = refusal(log.lake, lambda _: log.once(unit, "prompts", lambda: prompts(unit, rows)))
        assert message is None or (
            rows == 0 and "run again" in message
        )  # an empty commit names no file of ours
        assert log.once(unit, "prompts", lambda: prompts(unit, rows)).height == rows
        assert read(log.lake, "prompts").height == rows
        assert verify_lake(log.lake, deep=False).items == []


def test_retries_that_run_out_leave_nothing_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit("ada", 0, "admit")

    def refused(*_: object, **__: object) -> None:
        raise CommitFailedError("a conflict")

    monkeypatch.setattr("warehouse.log.PAUSE", 0.0)
    with monkeypatch.context() as broken, trial("retries that run out"):
        broken.setattr(DeltaTable, "create_write_transaction", refused)
        with pytest.raises(CommitOutcomeUnknown, match="run again"):
            log.once(unit, "prompts", lambda: prompts(unit))
    assert not log.holds(unit, "prompts")
    assert verify_lake(log.lake).items == []
    assert log.once(unit, "prompts", lambda: prompts(unit)).height == 5
