"""Fixtures every room's tests share, and how tests are spread over the processes of pytest-xdist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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

# Machines are shared: how long one example takes says nothing.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST = (
    "flows/test_night.py",
    "warehouse/test_faults.py",
    "flows/test_rounds.py",
    "flows/test_self_rewarding.py",
    "verify/test_sandbox.py",
    "warehouse/stores/test_writers.py",
    "flows/test_bucket_night.py",
    "flows/test_invention.py",
    "flows/test_endpoint.py",
    "train/test_loop.py",
    "train/test_launch.py",
    "warehouse/test_verify.py",
)
"""The longest files, in the order in which workers take them: one begun last keeps the others waiting."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    rank = {REPOSITORY / "tests" / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with GSM8K and the other real data sets; tests that need it skip without it."""
    folder = Path(os.environ.get("RATCHET_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RATCHET_TEST_DATA to the folder that holds gsm8k/")
    return folder
