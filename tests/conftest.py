"""Fixtures every room's tests share, where their files lie, and how tests are spread over processes."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.commands import plain as plain
from tests.commands import prefect_server as prefect_server
from tests.conformance.nights import undisturbed as undisturbed
from tests.tally import pytest_sessionfinish as pytest_sessionfinish
from tests.tally import pytest_terminal_summary as pytest_terminal_summary
from tests.tally import pytest_testnodedown as pytest_testnodedown

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads hurt on shared cores
os.environ.setdefault("DO_NOT_TRACK", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores are the other workers'
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before absl, which rouge-score brings: its log handler closes the stream that pytest captures where Prefect
# sets up its own logging after it.
import prefect.main as _prefect  # noqa: F401

MEMORY = Path("/dev/shm")  # the storage in memory of Linux
ROOM = 8e9  # bytes that a whole run may take
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # where tmp_path lies; not `disk`, see below

# Machines are shared: how long one example takes says nothing.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST = (
    "conformance/test_recipes.py",
    "flows/test_self_rewarding.py",
    "flows/test_rounds.py",
    "flows/test_conversations.py",
    "flows/test_bucket_night.py",
    "warehouse/test_faults.py",
    "warehouse/stores/test_writers.py",
    "train/test_launch.py",
    "warehouse/test_verify.py",
    "verify/test_sandbox.py",
    "train/test_devices.py",
    "warehouse/test_deep.py",
    "verify/test_unit_tests_on_human_eval.py",
    "flows/test_endpoint.py",
    "train/test_loop.py",
    "warehouse/test_seal.py",
    "train/test_dpo.py",
    "warehouse/stores/test_bucket.py",
    "generate/test_embedded.py",
)
"""The longest files, in the order in which workers take them: one begun last keeps the others waiting.

Those that need a Prefect server come first, so that what forks commands for it forks the plain ones too.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    rank = {REPOSITORY / "tests" / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """What was imported is never garbage: no collection looks through it again, for 0.4 s each time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Libraries that take their own objects down as a process ends count what is frozen as lost."""
    gc.unfreeze()


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder of the test's own on a disk, even where `tmp_path` lies in memory: for promises of storage."""
    with tempfile.TemporaryDirectory(prefix="ratchet-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with GSM8K and the other real data sets; tests that need it skip without it."""
    folder = Path(os.environ.get("RATCHET_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RATCHET_TEST_DATA to the folder that holds gsm8k/")
    return folder
