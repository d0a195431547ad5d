"""The unit-test verifier on HumanEval: every canonical solution passes, wrong programs made of it do not."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.verify.sandbox.run import safe_rung
from tasks.verify.unit_tests import verify_many
from tasks.verify.verifier import Verdict
from tests.verify.mutants import STRATEGIES, single_faults

pytestmark = pytest.mark.skipif(safe_rung().name is None, reason=f"no safe rung here: {safe_rung().refused}")

Problem = dict[str, Any]
FAULTS_EACH = 1

# What a strategy makes of these is right by the problem's own tests, so no judge could refuse it.
RIGHT_AFTER_ALL = {
    ("right value of another type", "HumanEval/52"): "the tests ask only whether the answer is true",
    ("right value of another type", "HumanEval/56"): "the tests ask only whether the answer is true",
    ("right value of another type", "HumanEval/61"): "the tests ask only whether the answer is true",
    ("knows the first answer", "HumanEval/34"): "there is one test",
}


@pytest.fixture(scope="module")
def problems(shared_data: Path) -> list[Problem]:
    path = shared_data / "human-eval" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no HumanEval at {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def reference(problem: Problem) -> str:
    return json.dumps({field: problem[field] for field in ("prompt", "test", "entry_point")})


def whole(problem: Problem) -> str:
    return str(problem["prompt"] + problem["canonical_solution"])


def judge(rows: Sequence[tuple[Problem, str]]) -> list[Verdict]:
    return list(verify_many([text for _, text in rows], [reference(problem) for problem, _ in rows]))


def not_passed(rows: Sequence[tuple[Problem, str]]) -> list[str]:
    return [
        f"{problem['task_id']}: {verdict.outcome}, {verdict.reason}"
        for (problem, _), verdict in zip(rows, judge(rows), strict=True)
        if verdict.outcome != "pass"
    ]


def test_every_canonical_solution_passes_as_a_completion(problems: list[Problem]) -> None:
    assert len(problems) == 164
    assert not_passed([(problem, problem["canonical_solution"]) for problem in problems]) == []


def test_canonical_solutions_pass_as_whole_programs_in_a_fence(problems: list[Problem]) -> None:
    answer = "Here is the function.\n\n```python\n{}\n```\n\nIt runs in linear time."
    assert not_passed([(problem, answer.format(whole(problem))) for problem in problems[::3]]) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_strategy_that_fools_weak_judges_passes(strategy: str, problems: list[Problem]) -> None:
    code = STRATEGIES[strategy]
    rows = [(each, f"{whole(each)}\n{code.replace('NAME', each['entry_point'])}") for each in problems]
    verdicts = judge(rows)
    passed = {
        (strategy, problem["task_id"])
        for (problem, _), verdict in zip(rows, verdicts, strict=True)
        if verdict.outcome == "pass"
    }
    assert passed == {each for each in RIGHT_AFTER_ALL if each[0] == strategy}
    assert {verdict.outcome for verdict in verdicts} <= {"pass", "fail", "tampered"}


def test_single_faults_pass_exactly_where_human_evals_own_tests_let_them(problems: list[Problem]) -> None:
    rows = [
        (problem, text)
        for problem in problems
        for text in single_faults(whole(problem), problem["entry_point"], FAULTS_EACH)
    ]
    assert len({problem["task_id"] for problem, _ in rows}) > 145
    passed = [verdict.outcome == "pass" for verdict in judge(rows)]
    programs = [f"{text}\n{each['test']}\ncheck({each['entry_point']})" for each, text in rows]
    with ThreadPoolExecutor(2) as halves:
        middle = len(programs) // 2
        bare = [
            each for half in halves.map(run_bare, (programs[:middle], programs[middle:])) for each in half
        ]
    pairs = zip(passed, bare, strict=True)
    different = [row[0]["task_id"] for row, (ours, theirs) in zip(rows, pairs, strict=True) if ours != theirs]
    assert different == []
    assert sum(passed) < len(rows) / 5


def run_bare(programs: list[str]) -> list[bool]:
    """Whether each program, ours and harmless, ends without an exception when it is run bare."""
    result = subprocess.run(
        [sys.executable, "-I", "-c", BARE],
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(result.stdout))


BARE = """
import copy, json, math, os, random, re, resource, string, sys, typing, collections, hashlib
passed = []
for program in json.load(sys.stdin):
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        try:
            exec(program, {"__name__": "bare"})
        except BaseException:
            os._exit(1)
        os._exit(0)
    passed.append(os.waitpid(pid, 0)[1] == 0)
json.dump(passed, sys.stdout)
"""
