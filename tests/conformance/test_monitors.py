"""Promises of every monitor: whatever a round holds it gives readings with a verdict, and changes nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from flows.recipes.rooms import ROOMS, parse_recipe
from schemas.identity import prompt_id
from schemas.units import Unit
from tasks.audit.answers import round_answers
from tasks.audit.monitors.registry import MONITORS, AuditedRound
from tasks.audit.reading import MonitorVerdict, Reading, audit_rows
from tests.conformance.nights import LOOP
from warehouse.lake import Lake
from warehouse.log import Log

CASES = ("nothing", "no verdict", *(f"{recipe} {number}" for recipe in ROOMS for number in (0, 1)))


def seen(lake: Lake, number: int, verifier: str) -> AuditedRound:
    """A round as the audit step of a night sees it."""
    baselines = [round_answers(lake, LOOP, then, verifier) for then in {0, number - 1} - {-1, number}]
    return AuditedRound(lake, LOOP, verifier, round_answers(lake, LOOP, number, verifier), baselines)


@pytest.fixture(scope="module", params=CASES)
def audited(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    undisturbed: Callable[[str], Lake],
) -> AuditedRound:
    """A round of nothing, one that nobody has judged, and each round of every recipe's small night."""
    name, _, number = request.param.rpartition(" ")
    if name in ROOMS:
        return seen(undisturbed(name), int(number), parse_recipe({"recipe": name}).filters_by)
    log = Log(Lake.create(tmp_path_factory.mktemp("audited") / "lake"))
    if request.param == "no verdict":
        write_answers(log)
    return seen(log.lake, 0, "maths")


def write_answers(log: Log) -> None:
    """Answers to two prompts, which no verifier has seen."""
    ids = [prompt_id(0, LOOP, "train", "test", line, f"1 + {line}?") for line in range(2)]
    texts = [f"1 + {line}?" for line in range(2)]
    prompts = pl.DataFrame({"prompt_id": ids, "split": "train", "source": "test", "text": texts})
    answers = pl.DataFrame(
        {
            "candidate_id": [f"cand-00000-{line:024x}" for line in range(2)],
            "prompt_id": ids,
            "kind": "answer",
            "split": "train",
            "sample_index": 0,
            "text": "#### 2",
        }
    )
    log.once(Unit(LOOP, 0, "admit"), "prompts", lambda: prompts)
    log.once(Unit(LOOP, 0, "generate"), "candidates", lambda: answers)


def files(lake: Lake) -> dict[str, str]:
    return {
        path.relative_to(lake.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(lake.root).rglob("*")
        if path.is_file()
    }


def held(name: str, readings: list[Reading]) -> None:
    """Some readings, all of this monitor, of the stated verdicts, fit for table `audits`."""
    assert readings
    assert {one.monitor for one in readings} == {name}
    assert {one.verdict for one in readings} <= set(get_args(MonitorVerdict))
    assert all(one.reason for one in readings if one.verdict == "none")
    numbers = [one for reading in readings for one in (reading.value, reading.baseline, reading.threshold)]
    assert all(one is None or math.isfinite(one) for one in numbers)
    rows = audit_rows(readings, LOOP, 0)
    assert rows["audit_id"].n_unique() == rows.height == len(readings)


@pytest.mark.parametrize("name", MONITORS)
def test_a_monitor_reads_a_round_the_same_each_time_and_writes_nothing(
    name: str, audited: AuditedRound
) -> None:
    before = files(audited.lake)
    readings = MONITORS[name](audited)
    held(name, readings)
    assert MONITORS[name](audited) == readings
    assert files(audited.lake) == before
    if audited.now.frame.is_empty():
        assert {one.verdict for one in readings} == {"none"}, "what was not read is no pass"


@pytest.mark.parametrize("name", MONITORS)
def test_a_round_after_one_without_answers_is_read_without_that_baseline(
    name: str, audited: AuditedRound, tmp_path: Path
) -> None:
    nothing = round_answers(Lake.create(tmp_path / "lake"), LOOP, 0, audited.verifier)
    alone = AuditedRound(audited.lake, audited.loop, audited.verifier, audited.now, [])
    after = AuditedRound(audited.lake, audited.loop, audited.verifier, audited.now, [nothing])
    assert MONITORS[name](after) == MONITORS[name](alone)
    held(name, MONITORS[name](after))
