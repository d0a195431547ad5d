"""ROUGE-L F of new prompts with the nearest of many earlier ones: pairs a second, beside rouge-score.

    python -m bench.novelty [--earlier 100000] [--new 1000] [--data ../shared/data] [--json]

Three corpora: the tutor's stories, requests spliced from Self-Instruct's seeds, and four of those in a row.
The peer is given a subset of the same pairs, and what it says there must be what ours says; the ratio is of
pairs a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rouge_score.rouge_scorer import RougeScorer

from tasks.filter.rouge import Texts, words
from tutor.world import stories

SUBSET_NEW, SUBSET_EARLIER = 10, 300
LIMIT = 0.7


def tutor_stories(count: int) -> list[str]:
    """The tutor's stories."""
    return [story.question for story in stories(0, count)]


def spliced(data: Path, count: int, parts: int) -> list[str]:
    """Beginnings of seeds joined to ends of others, one word in eight drawn from all."""
    file = data / "self-instruct" / "seed_tasks.jsonl"
    seeds = [words(json.loads(line)["instruction"]) for line in file.read_text("utf-8").splitlines()]
    every = [word for seed in seeds for word in seed]
    draw = random.Random(0)

    def one() -> list[str]:
        first, last = draw.choice(seeds), draw.choice(seeds)
        joined = first[: draw.randint(1, len(first))] + last[draw.randint(0, len(last)) :]
        return [word if draw.random() > 1 / 8 else draw.choice(every) for word in joined]

    return [" ".join(word for _ in range(parts) for word in one()) for _ in range(count)]


def measured(name: str, texts: list[str], new_count: int) -> dict[str, Any]:
    """One corpus: the last `new_count` texts against all before them."""
    earlier, new = texts[:-new_count], texts[-new_count:]
    start = time.perf_counter()
    index = Texts(earlier)
    indexed = time.perf_counter() - start
    nearest, seconds = timed(lambda: index.nearest(new))
    pairs = len(earlier) * len(new)
    peer = peer_rate(earlier, new)
    return {
        "corpus": name,
        "earlier": len(earlier),
        "new": len(new),
        "words": round(float(np.mean([len(words(text)) for text in new])), 1),
        "index_s": round(indexed, 2),
        "nearest_s": round(seconds, 2),
        "above": sum(one is not None and one.f > LIMIT for one in nearest),
        "pairs_per_s": round(pairs / seconds),
        "rouge_score": round(peer),
        "ratio": round(pairs / seconds / peer),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and how long it took in seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def peer_rate(earlier: list[str], new: list[str]) -> float:
    """rouge-score's pairs a second on a subset; an AssertionError where ours differs there."""
    few, queries = earlier[:SUBSET_EARLIER], new[:SUBSET_NEW]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    peer_scores, seconds = timed(
        lambda: [[scorer.score(a, b)["rougeL"].fmeasure for a in few] for b in queries],
    )
    difference = float(np.abs(Texts(few).f(queries) - np.array(peer_scores)).max())
    assert difference < 1e-12, f"F differs by {difference} from rouge-score's"
    return len(few) * len(queries) / seconds


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--earlier", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("RATCHET_TEST_DATA", "../shared/data"))
    )
    parser.add_argument("--json", action="store_true", help="one JSON list")
    options = parser.parse_args()
    count = options.earlier + options.new
    rows = [measured("stories", tutor_stories(count), options.new)]
    if (options.data / "self-instruct").is_dir():
        rows.append(measured("requests", spliced(options.data, count, 1), options.new))
        rows.append(measured("long requests", spliced(options.data, count, 4), options.new))
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(*rows[0], title="novelty of prompts", title_justify="left", box=None)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,}" for value in row.values()))
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
