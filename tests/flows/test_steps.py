"""Promises of a step: in a flow Prefect tries it again where that may help, elsewhere it is a function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from prefect import flow

from flows.steps.task import step_task
from schemas.errors import TrainingFailed
from tests.commands import ratchet

ERRORS = {
    "a fault of the machine": OSError("no route"),
    "a fault of the training": TrainingFailed("diverged"),
}


@step_task
def stumbles(name: str, tally: Path) -> int:
    """Fails twice, and says each time that it was tried."""
    with tally.open("a") as file:
        file.write("tried\n")
    tries = len(tally.read_text().splitlines())
    if tries < 3:
        raise ERRORS[name]
    return tries


@flow(name="stumbling", persist_result=False)
def stumbling(name: str, tally: Path) -> int:
    """A flow of this step alone."""
    return stumbles(name, tally)


def main(arguments: Sequence[str]) -> int:
    """The step in a flow of its own: the error's name, and the file that counts."""
    name, tally = arguments
    return int(stumbling(name, Path(tally))) - 3


@pytest.mark.parametrize(("name", "tries"), [("a fault of the machine", 3), ("a fault of the training", 1)])
def test_a_step_is_tried_three_times_unless_the_fault_is_one_of_ours(
    tmp_path: Path, prefect_server: dict[str, str], name: str, tries: int
) -> None:
    tally = tmp_path / "tally"
    result = ratchet(name, str(tally), environment=prefect_server, program="tests.flows.test_steps:main")
    assert len(tally.read_text().splitlines()) == tries
    assert (result.returncode == 0) == (tries == 3), result.stderr


def test_outside_a_flow_a_step_is_its_function(tmp_path: Path) -> None:
    """It needs no Prefect server, its errors are its own, and nobody tries it again."""
    with pytest.raises(OSError, match="no route"):
        stumbles("a fault of the machine", tmp_path / "tally")
    assert (tmp_path / "tally").read_text().splitlines() == ["tried"]
