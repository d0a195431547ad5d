"""Every verifier on its own kind of answers: verdicts a second, on one process and on all cores.

    python -m bench.verify [--data ../shared/data] [--json]

maths and gsm8k judge GSM8K's graded answers, unit-tests HumanEval's canonical solutions, the judge (one
process, a model that takes the cores it gets) answers to the tutor's stories. All go the way `ratchet grade`
goes, from lines to rows; the clock starts when the first row is there: starting processes is not in it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import tutor
import tutor.prompts
from bench.verify_maths import read_graded
from flows.grading.grading import graded, grouped, judge_lines
from flows.grading.lines import Line
from flows.writers.judges import chosen_rubric
from tasks.generate.embedded.embedded import EmbeddedEngine

REPEAT = 8  # GSM8K's answers are judged so many times over, or the clock would be too short
JUDGED = 256
BATCH = 64

Rows = Iterator[dict[str, Any]]


def maths_lines(data: Path) -> list[Line]:
    """GSM8K's graded answers."""
    rows = [{"answer": row.solution, "reference": row.gold} for row in read_graded(data)]
    return _numbered(rows * REPEAT)


def program_lines(data: Path) -> list[Line]:
    """HumanEval's canonical solutions."""
    with gzip.open(data / "human-eval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        problems = [json.loads(line) for line in lines]
    fields = ("prompt", "test", "entry_point")
    return _numbered(
        [{k: row[k] for k in fields} | {"completion": row["canonical_solution"]} for row in problems]
    )


def story_lines() -> list[Line]:
    """The tutor's stories with their references for answers."""
    stories = tutor.prompts.draw_stories(0, 0, JUDGED, (1, 2, 3), "practice")
    rows = [
        {"prompt": text, "answer": answer} for text, answer in stories.select("text", "reference").iter_rows()
    ]
    return _numbered(rows)


def _numbered(rows: list[dict[str, Any]]) -> list[Line]:
    return [Line(number, row) for number, row in enumerate(rows, start=1)]


def timed(name: str, workers: int, lines: list[Line], run: Callable[[], Rows]) -> dict[str, Any]:
    """One verifier on so many processes."""
    outcomes: dict[str, int] = {}
    start = time.perf_counter()
    for row in run():
        if not outcomes:
            start = time.perf_counter()
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
    seconds = time.perf_counter() - start
    rate = (len(lines) - 1) / seconds
    counts = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(outcomes.items()))
    return {
        "verifier": name,
        "workers": workers,
        "verdicts": len(lines),
        "per_second": round(rate, 1),
        "per_second_per_worker": round(rate / workers, 1),
        "outcomes": counts,
    }


def judged(lines: list[Line]) -> Rows:
    """The tutor's judge, as `ratchet grade judge` asks it."""
    rubric = chosen_rubric(tutor.JUDGE, None, "points", None)
    with EmbeddedEngine(tutor.JUDGE) as engine:
        for group in grouped(lines, BATCH):
            yield from judge_lines(engine, rubric, group, 0)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("RATCHET_TEST_DATA", "../shared/data"))
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    try:
        kinds = {"maths": maths_lines(options.data), "unit-tests": program_lines(options.data)}
    except OSError as error:
        print(f"{options.data}: {error.strerror}", file=sys.stderr)
        return 2
    kinds["gsm8k"] = kinds["maths"]
    rows = []
    for name, lines in kinds.items():
        alone = timed(name, 1, lines, lambda n=name, given=lines: graded(n, given, 1))
        spread = timed(name, cores, lines, lambda n=name, given=lines: graded(n, given, cores))
        growth = spread["per_second"] / alone["per_second"]
        rows += [alone | {"growth": 1.0}, spread | {"growth": round(growth, 2)}]
    stories = story_lines()
    rows.append(timed("judge", 1, stories, lambda: judged(stories)) | {"growth": 1.0})
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(*rows[0], title="verdicts a second", title_justify="left", box=None)
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int | float) else str(v) for v in row.values()))
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
