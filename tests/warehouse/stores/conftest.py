"""One S3 server for these tests, and both kinds of place that a lake can lie in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warehouse.s3 import Server, serving
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.store.face import Store
from warehouse.store.open import open_store


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("s3") / "server.log") as server:
        yield server


@pytest.fixture
def server(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, reached by the environment; what is fetched lies in the test's own folder."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    yield running
    running.fault()


@pytest.fixture
def address(server: Server) -> str:
    """An empty place in a fresh bucket."""
    return f"s3://{server.bucket()}/some/lake"


@pytest.fixture(params=["folder", "bucket"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a lake, of either kind."""
    if request.param == "bucket":
        return str(request.getfixturevalue("address"))
    return str(tmp_path / "lake")


@pytest.fixture
def store(where: str) -> Store:
    opened = open_store(where)
    opened.home.mkdir(parents=True, exist_ok=True)  # as `Lake.create` does
    return opened


@pytest.fixture
def log(where: str) -> Log:
    return Log(Lake.create(where))
