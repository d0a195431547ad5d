"""Fixtures every room's tests share: where the real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads hurt on shared cores
os.environ.setdefault("DO_NOT_TRACK", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with GSM8K and the other real data sets; tests that need it skip without it."""
    folder = Path(os.environ.get("RATCHET_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RATCHET_TEST_DATA to the folder that holds gsm8k/")
    return folder
