"""The maths verifier beside math-verify 0.9, in one process and one thread, the same texts in the same run:
on GSM8K's 5,276 graded answers (verdicts a second, and how many agree with the data set's own grades), and
on the labelled pairs of MATH-style answers in `tests/verify/math_pairs.py` (wrong passes and wrong fails).

    python -m bench.verify_maths [--data ../shared/data] [--json]

math-verify is used as its documentation advises (parse the gold, parse the answer, verify), its time-outs
at their defaults; each gold is parsed once for the four answers to it, as our verifier's cache does too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tasks.verify.verifier import get_verifier
from tests.verify.math_pairs import DECIDED, DIFFERENT, EQUAL, OBSERVED

SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
REQUIRED_RATIO = 20
SLICES = 40  # the two take turns, so that a busy machine slows both alike


class Graded(NamedTuple):
    """One graded answer: the solution, the gold number, and the data set's own grade."""

    solution: str
    gold: str
    is_correct: bool


class Result(NamedTuple):
    """One verifier's time (seconds) and verdicts over all answers."""

    name: str
    seconds: float
    verdicts: list[bool]


def read_graded(data: Path) -> list[Graded]:
    """All answers of `gsm8k/example_model_solutions.jsonl`, four systems a line."""
    graded = []
    with (data / "gsm8k" / "example_model_solutions.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            gold = row["ground_truth"].rpartition("A: ")[2].replace(",", "")
            graded += [Graded(row[each]["solution"], gold, row[each]["is_correct"]) for each in SYSTEMS]
    return graded


def ours() -> Callable[[Graded], bool]:
    """A verdict by the maths verifier."""
    verify = get_verifier("maths").verify
    return lambda row: verify(row.solution, row.gold).outcome == "pass"


def math_verify() -> Callable[[Graded], bool]:
    """A verdict by math-verify."""
    from math_verify import parse, verify  # type: ignore[import-untyped]

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    gold: Callable[[str], Any] = lru_cache(maxsize=None)(parse)
    return lambda row: bool(verify(gold(row.gold), parse(row.solution)))


class Pair(NamedTuple):
    """One labelled pair of a reference and an answer."""

    reference: str
    answer: str
    is_equal: bool


def read_pairs() -> dict[str, list[Pair]]:
    """The labelled pairs: mathematics, pairs of math-verify's own tests, and this verifier's decisions."""
    mathematics = [Pair(*pair, True) for pairs in EQUAL.values() for pair in pairs]
    mathematics += [Pair(*pair, False) for pairs in DIFFERENT.values() for pair in pairs]
    return {
        "mathematics": mathematics,
        "math-verify's own": [Pair(*pair) for pair in OBSERVED],
        "decisions": [Pair(*pair) for pair in DECIDED],
    }


def as_graded(pair: Pair) -> Graded:
    """A pair as both verifiers take it: the answer in a box, the reference as mathematics."""
    reference = pair.reference if "$" in pair.reference.replace("\\$", "") else f"${pair.reference}$"
    return Graded(f"The final answer is $\\boxed{{{pair.answer}}}$.", reference, pair.is_equal)


def agreement(name: str, pairs: Sequence[Graded], result: Result) -> dict[str, Any]:
    """How one verifier's verdicts meet the labels of a group of pairs."""
    labels = [pair.is_correct for pair in pairs]
    return {
        "pairs": name,
        "verifier": result.name,
        "count": len(pairs),
        "agree": sum(map(bool.__eq__, labels, result.verdicts)),
        "wrong_passes": sum(
            verdict and not label for label, verdict in zip(labels, result.verdicts, strict=True)
        ),
        "wrong_fails": sum(
            label and not verdict for label, verdict in zip(labels, result.verdicts, strict=True)
        ),
        "microseconds": round(result.seconds / len(pairs) * 1e6, 1),
    }


def race(rows: Sequence[Graded], runners: dict[str, Callable[[Graded], bool]]) -> list[Result]:
    """Every runner over all rows, slice by slice in turn; each has seen one row before the clock starts."""
    seconds = dict.fromkeys(runners, 0.0)
    verdicts: dict[str, list[bool]] = {name: [] for name in runners}
    for run in runners.values():
        run(rows[0])
    size = -(-len(rows) // SLICES)
    for start in range(0, len(rows), size):
        for name, run in runners.items():
            begin = time.perf_counter()
            verdicts[name] += [run(row) for row in rows[start : start + size]]
            seconds[name] += time.perf_counter() - begin
        if sys.stderr.isatty():
            print(f"\r{min(start + size, len(rows))}/{len(rows)} answers", end="", file=sys.stderr)
    return [Result(name, seconds[name], verdicts[name]) for name in runners]


def summary(rows: Sequence[Graded], results: Sequence[Result]) -> list[dict[str, Any]]:
    """One object per verifier: verdicts, microseconds each, how many a second, and how many are right."""
    return [
        {
            "verifier": each.name,
            "verdicts": len(rows),
            "microseconds": round(each.seconds / len(rows) * 1e6, 1),
            "per_second": round(len(rows) / each.seconds),
            "correct": sum(
                row.is_correct == verdict for row, verdict in zip(rows, each.verdicts, strict=True)
            ),
        }
        for each in results
    ]


def main() -> int:
    """Prints the table; the exit code is 1 where the promise of this bench is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("RATCHET_TEST_DATA", "../shared/data"))
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    options = parser.parse_args()
    try:
        rows = read_graded(options.data)
    except OSError as error:
        print(f"no graded answers to read: {error}; give --data", file=sys.stderr)
        return 2
    runners = {f"ratchet maths {get_verifier('maths').version}": ours(), "math-verify 0.9": math_verify()}
    mine, peer = summary(rows, race(rows, runners))
    ratio = mine["per_second"] / peer["per_second"]
    is_kept = ratio >= REQUIRED_RATIO and mine["correct"] >= peer["correct"]
    groups = {name: [as_graded(pair) for pair in pairs] for name, pairs in read_pairs().items()}
    agreed = [agreement(name, group, each) for name, group in groups.items() for each in race(group, runners)]
    pairs_kept = all(us["agree"] >= them["agree"] for us, them in zip(agreed[::2], agreed[1::2], strict=True))
    is_kept = is_kept and pairs_kept
    if options.json:
        results = {"results": [mine, peer], "ratio": round(ratio, 1), "pairs": agreed, "kept": is_kept}
        print(json.dumps(results))
        return 0 if is_kept else 1
    print(f"{'GSM8K graded':<17}{'verdicts':>9}{'µs each':>9}{'a second':>10}{'correct':>9}")
    for each in (mine, peer):
        print(
            f"{each['verifier']:<17}{each['verdicts']:>9}{each['microseconds']:>9}"
            f"{each['per_second']:>10}{each['correct']:>9}"
        )
    columns = f"{'agree':>9}{'wrong passes':>14}{'wrong fails':>13}{'µs each':>10}"
    print(f"\n{'MATH pairs':<19}{'verifier':<17}{columns}")
    for each in agreed:
        print(
            f"{each['pairs']:<19}{each['verifier']:<17}{each['agree']:>5}/{each['count']:<3}"
            f"{each['wrong_passes']:>14}{each['wrong_fails']:>13}{each['microseconds']:>10}"
        )
    word = "kept" if is_kept else "NOT KEPT"
    print(f"\nratio on GSM8K {ratio:.0f} (required {REQUIRED_RATIO}), with no fewer right in any row: {word}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
