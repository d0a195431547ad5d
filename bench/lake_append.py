"""Appends to the log beside raw PyArrow in the same run: rows a second with group commit, and what each
part of a commit costs.

    python -m bench.lake_append [--rows 20000 100000] [--commits 20] [--folder DIR] [--json]

Raw PyArrow writes the same rows as one zstd Parquet file a commit and syncs it and its folder; the log also
adds its columns, checks them, hashes the file, commits it to Delta with its keys, and syncs that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.lake_facts import BASE, LOOP, Facts
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.store.durable import sync

REQUIRED_RATIO = 0.65
UNITS = 4


def race(root: Path, rows: int, commits: int) -> dict[str, Any]:
    """The log and raw PyArrow take turns, commit by commit, over the same rows."""
    log, facts = Log(Lake.create(root / f"lake-{rows}")), Facts(rows)
    raw = root / f"raw-{rows}"
    raw.mkdir()
    ours = theirs = 0.0
    for number in range(commits + 1):
        prompts = facts.ids("prompt", number, -(-rows // 4))
        parts = list(facts.candidates(number, prompts, BASE, rows).iter_slices(-(-rows // UNITS)))
        table = pl.concat(parts).to_arrow()
        begin = time.perf_counter()
        _raw(raw / f"{number}.parquet", table)
        middle = time.perf_counter()
        units = [Unit(LOOP, number, "generate", shard) for shard in range(UNITS)]
        log.once_each(units, "candidates", lambda missing, given=parts: [given[u.shard] for u in missing])
        end = time.perf_counter()
        if number:  # the first is for warming up: tables are made, libraries loaded
            theirs, ours = theirs + middle - begin, ours + end - middle
    return {
        "rows_a_commit": rows,
        "commits": commits,
        "log_rows_per_second": round(rows * commits / ours),
        "raw_rows_per_second": round(rows * commits / theirs),
        "ratio": round(theirs / ours, 3),
        "log_ms": round(1e3 * ours / commits, 1),
        "raw_ms": round(1e3 * theirs / commits, 1),
    }


def costs(root: Path, commits: int) -> list[dict[str, Any]]:
    """Milliseconds of each part of a small commit: what durability, hashing and looking cost."""
    from warehouse.delta.health import check_entries
    from warehouse.delta.journal import vouch

    log, facts = Log(Lake.create(root / "lake-costs")), Facts(1_000)
    store, name = log.lake.store, log.lake.log("candidates")
    prompts = facts.ids("prompt", 0, 250)
    seconds_of: dict[str, float] = {}

    def clock(part: str, begin: float) -> float:
        now = time.perf_counter()
        seconds_of[part] = seconds_of.get(part, 0.0) + now - begin
        return time.perf_counter()

    for number in range(commits + 1):
        rows = facts.candidates(0, prompts, BASE, 1_000)
        if number == 1:
            seconds_of.clear()
        begin = time.perf_counter()
        log.once(Unit(LOOP, 0, "generate", number), "candidates", lambda given=rows: given)
        begin = clock("a whole append of 1,000 rows", begin)
        delta = log.lake.open("candidates")
        assert delta is not None
        begin = clock("open the table, its log checked", begin)
        check_entries(store, name)
        begin = clock("  of which: look at the log's health", begin)
        vouch(store, name, delta.version())
        begin = clock("vouch for the entries before", begin)
        files = log.lake.files("candidates", {"unit": Unit(LOOP, 0, "generate", number).key})
        data = Path(files[-1]).read_bytes()
        begin = time.perf_counter()
        hashlib.sha256(data).hexdigest()
        begin = clock("SHA-256 of the data file", begin)
        sync(Path(files[-1]))
        sync(Path(files[-1]).parent)
        begin = clock("sync a file and its folder (nothing to write)", begin)
    return [{"part": part, "ms": round(1e3 * seconds / commits, 2)} for part, seconds in seconds_of.items()]


def _raw(path: Path, table: Any) -> None:
    pq.write_table(table, path, compression="zstd")
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    sync(path.parent)


def main() -> int:
    """Prints the tables; the exit code is 1 where the ratio is below what is promised."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ratchet-bench-", dir=options.folder))
    try:
        races = [race(root, rows, options.commits) for rows in options.rows]
        parts = costs(root, options.commits)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if options.json:
        print(json.dumps({"append": races, "costs": parts}, indent=2))
    else:
        for title, rows in (("appends, four units a commit", races), ("what a commit's parts cost", parts)):
            _print(title, rows)
    return int(any(one["ratio"] < REQUIRED_RATIO for one in races))


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left", box=None)
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int | float) else str(v) for v in row.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
