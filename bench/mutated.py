"""Mutated lines: a verdict each, and how long the slowest takes.

    python -m bench.mutated [--lines 100000] [--json]

The lines are those of the maths verifier's tests (`tests/verify/test_reported_faults.py`), with pieces put
in, taken out or doubled; the same ones at every run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter

from tasks.verify.maths.maths import verify
from tests.verify.test_reported_faults import mutated


def main() -> int:
    """Prints the counts; the exit code is 1 where a line has no verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes, raised, slowest = Counter[str](), Counter[str](), 0.0
    for seed in range(options.lines):
        text, reference = mutated(random.Random(seed))
        start = time.perf_counter()
        try:
            outcomes[verify(text, reference).outcome] += 1
        except Exception as error:  # what this bench is there to find
            raised[f"{type(error).__name__}: {text!r} against {reference!r}"[:300]] += 1
        slowest = max(slowest, time.perf_counter() - start)
    report = {"lines": options.lines, "outcomes": dict(outcomes), "slowest_ms": round(1000 * slowest, 1)}
    print(json.dumps(report | {"raised": dict(raised)}, indent=None if options.json else 2))
    return 1 if raised else 0


if __name__ == "__main__":
    sys.exit(main())
