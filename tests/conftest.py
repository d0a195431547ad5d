"""Fixtures every room's tests share, and how tests are spread over the processes of pytest-xdist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tally import pytest_sessionfinish as pytest_sessionfinish
from tests.tally import pytest_terminal_summary as pytest_terminal_summary
from tests.tally import pytest_testnodedown as pytest_testnodedown

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads hurt on shared cores
os.environ.setdefault("DO_NOT_TRACK", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores are the other workers'
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST = (
    "flows/test_night.py",
    "warehouse/test_faults.py",
    "flows/test_rounds.py",
    "verify/test_sandbox.py",
    "warehouse/stores/test_writers.py",
    "flows/test_bucket_night.py",
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
