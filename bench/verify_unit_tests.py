"""The unit-test verifier on HumanEval's canonical solutions, beside a bare `python -I` process per program.

Programs a second on one worker and on two, both runners in the same run, taking turns; the ratio is to the
bare runs, without any sandbox, on as many workers. Latency is of one program, from its start to its verdict.

    python -m bench.verify_unit_tests [--data ../shared/data] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tasks.verify.sandbox.run import Pool, safe_rung
from tasks.verify.unit_tests import read_reference

WORKERS = (1, 2)
SLICES = 4  # the runners take turns, so that a busy machine slows all alike
REQUIRED_PER_SECOND = 25  # on two workers

Problem = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """One runner on so many workers: programs a second, milliseconds a program, and how many passed."""

    name: str
    workers: int
    per_second: float
    p50_ms: float
    p95_ms: float
    passed: int
    ratio: float


def read_problems(data: Path) -> list[Problem]:
    """HumanEval's 164 problems."""
    with gzip.open(data / "human-eval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def bare(problem: Problem) -> bool:
    """The program and its tests in a plain process: what that alone costs. For trusted text only."""
    program = f"{problem['prompt']}{problem['canonical_solution']}\n{problem['test']}\n"
    program += f"check({problem['entry_point']})\n"
    process = subprocess.run([sys.executable, "-I", "-"], input=program.encode(), env={}, capture_output=True)
    return process.returncode == 0


def sandboxed(pool: Pool) -> Callable[[Problem], bool]:
    """The same by the verifier, on one rung of the sandbox."""

    def judge(problem: Problem) -> bool:
        fields = {name: problem[name] for name in ("prompt", "test", "entry_point")}
        return (
            pool.examine(read_reference(json.dumps(fields), problem["canonical_solution"])).outcome == "pass"
        )

    return judge


def race(problems: Sequence[Problem], rung: str, workers: int) -> list[Result]:
    """Both runners over all problems, slice by slice in turn."""
    seconds, passed = [0.0, 0.0], [0, 0]
    latencies: list[list[float]] = [[], []]
    with Pool(workers, rung) as pool, ThreadPoolExecutor(workers) as threads:
        runners = (bare, sandboxed(pool))
        for run in runners:
            list(threads.map(run, problems[:workers]))
        size = -(-len(problems) // SLICES)
        for start in track(range(0, len(problems), size), f"{workers} workers", console=Console(stderr=True)):
            for index, run in enumerate(runners):
                begin = time.perf_counter()
                for verdict, took in threads.map(timed(run), problems[start : start + size]):
                    passed[index] += verdict
                    latencies[index].append(took * 1000)
                seconds[index] += time.perf_counter() - begin
    return [
        Result(
            name,
            workers,
            len(problems) / seconds[index],
            statistics.median(latencies[index]),
            statistics.quantiles(latencies[index], n=20)[-1],
            passed[index],
            seconds[0] / seconds[index],
        )
        for index, name in enumerate(("bare python -I", f"sandbox, rung {rung}"))
    ]


def timed(run: Callable[[Problem], bool]) -> Callable[[Problem], tuple[bool, float]]:
    """The runner with the seconds that it took."""

    def clocked(problem: Problem) -> tuple[bool, float]:
        begin = time.perf_counter()
        return run(problem), time.perf_counter() - begin

    return clocked


def print_table(results: Sequence[Result], problems: int) -> None:
    table = Table(title=f"HumanEval's {problems} canonical solutions, user {os.geteuid()}")
    for column in ("runner", "workers", "programs/s", "ratio", "p50 ms", "p95 ms", "passed"):
        table.add_column(column, justify="left" if column == "runner" else "right")
    for each in results:
        numbers = (f"{each.per_second:.1f}", f"{each.ratio:.2f}", f"{each.p50_ms:.0f}", f"{each.p95_ms:.0f}")
        table.add_row(each.name, str(each.workers), *numbers, str(each.passed))
    Console().print(table)


def main() -> int:
    """Prints the table; the exit code is 1 where two workers are slower than promised."""
    parser = argparse.ArgumentParser(description="Programs a second of the unit-test verifier.")
    data = Path(os.environ.get("RATCHET_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="the folder that holds human-eval/")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args()
    rung = safe_rung()
    if rung.name is None:
        print(f"no safe rung of the sandbox here: {'; '.join(rung.refused)}", file=sys.stderr)
        return 1
    if not (arguments.data / "human-eval" / "HumanEval.jsonl.gz").is_file():
        print(f"no HumanEval below {arguments.data}: name the folder by --data", file=sys.stderr)
        return 2
    problems = read_problems(arguments.data)
    results = [each for workers in WORKERS for each in race(problems, rung.name, workers)]
    if arguments.json:
        print(
            json.dumps(
                {
                    "rung": rung.name,
                    "required_per_second": REQUIRED_PER_SECOND,
                    "results": [*map(asdict, results)],
                }
            )
        )
    else:
        print_table(results, len(problems))
    return 0 if results[-1].per_second >= REQUIRED_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
