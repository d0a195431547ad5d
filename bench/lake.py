"""The lake at scale: 100 rounds of candidates with scores and decisions, and what asking it costs.

    python -m bench.lake [--sizes 100000 1000000 10000000] [--rounds 100] [--commits 5000]
                         [--folder DIR] [--json]

For each size it builds a lake through the log (sealed round by round), then, in the same run: every shipped
view beside the same SQL over DuckDB's `read_parquet` of the same files; the trace of a candidate and of the
newest checkpoint; opening and resuming after many small commits; the most memory each part took. Lakes in
--folder are kept and found again. Ten million candidates take some 15 minutes and 4 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.lake_facts import BASE, LOOP, Facts, open_bench, write_round
from schemas.tables import TABLES
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.lineage import trace
from warehouse.log import Log
from warehouse.query import connect, dependencies, snapshot_files, views
from warehouse.relations import EXAMPLES, relation_examples
from warehouse.seal import seal_rounds
from warehouse.session import Session

VIEW_RATIO = 1.25
TRACE_SECONDS = 1.0
TRACE_RATIO = 3.0
REPEATS = 3


def build(folder: Path, size: int, rounds: int) -> dict[str, Any]:
    """A lake of `size` candidates, made once."""
    start = time.monotonic()
    log = Log(Lake.create(folder))
    champion = open_bench(log)
    checkpoints = log.rows([Unit(LOOP, n, "train", 0, "bench") for n in range(rounds)], "checkpoints")
    facts = Facts(size // rounds)
    for number in range(checkpoints.height, rounds):
        champion = write_round(log, facts, number, _champion(checkpoints, champion))
        checkpoints = checkpoints.clear()
        _say(f"{size:,} candidates: round {number + 1} of {rounds}, {time.monotonic() - start:.0f} s")
    data = sum(entry.size for entry in log.lake.store.entries("tables"))
    return {"candidates": size, "build_seconds": round(time.monotonic() - start), "bytes": data}


def _champion(checkpoints: pl.DataFrame, otherwise: str) -> str:
    return str(checkpoints.sort("round")["checkpoint_id"][-1]) if checkpoints.height else otherwise


def race_views(lake: Lake) -> list[dict[str, Any]]:
    """Every shipped view, and the same SQL over raw Parquet, in turn."""
    rows = []
    for name in views():
        ours, theirs = [], []
        for _ in range(REPEATS + 1):
            theirs.append(_seconds(partial(_raw, lake, name)))
            ours.append(_seconds(partial(Session(lake).run, f"FROM {name}")))
        mine, raw = statistics.median(ours[1:]), statistics.median(theirs[1:])
        rows.append({"view": name, "ms": _ms(mine), "raw_ms": _ms(raw), "ratio": round(mine / raw, 2)})
        _say(f"view {name}: {mine:.2f} s, raw {raw:.2f} s")
    return rows


def _raw(lake: Lake, name: str) -> pl.DataFrame:
    """A view's SQL with its tables read plainly from the same files, which are known beforehand."""
    with connect() as connection:
        for part in dependencies(connection, views()[name]):
            connection.execute(f"CREATE TEMP VIEW {part} AS {_plain(lake, part)}")
        return connection.sql(views()[name]).pl()


def _plain(lake: Lake, name: str) -> str:
    """A view's own SQL, or a table as everybody would read it."""
    if name in views():
        return views()[name]
    if name == EXAMPLES:
        return relation_examples(_examples(lake))
    files = _files(lake, name)
    if not files:
        return _empty(name)
    listed = ", ".join(f"'{file}'" for file in files)
    options = "hive_partitioning=true, hive_types={'loop': VARCHAR, 'round': BIGINT}"
    return f"SELECT * FROM read_parquet([{listed}], {options})"


_listed: dict[tuple[str, str], list[str]] = {}


def _files(lake: Lake, table: str) -> list[str]:
    key = (lake.where, table)
    if key not in _listed:
        _listed[key] = lake.files(table)
    return _listed[key]


def _examples(lake: Lake) -> list[str]:
    key = (lake.where, EXAMPLES)
    if key not in _listed:
        _listed[key] = snapshot_files(lake, None)
    return _listed[key]


def _empty(table: str) -> str:
    typed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in TABLES[table].sql.items())
    return f"SELECT {typed} WHERE false"


def time_traces(lake: Lake, rounds: int) -> dict[str, Any]:
    """The trace of a trained-on candidate of the middle round, and of the newest checkpoint."""
    middle = rounds // 2
    files = lake.files("decisions", {"loop": LOOP, "round": middle})
    rows = pl.scan_parquet(files).filter(pl.col("filter") == "distinct", pl.col("kept")).head(50).collect()
    ids = rows["candidate_id"].to_list()
    newest = trace_of_newest(lake, rounds)
    times = {"candidate": [], "checkpoint": []}  # type: dict[str, list[float]]
    for turn in range(REPEATS + 1):
        times["candidate"].append(_seconds(lambda turn=turn: trace(lake, ids[turn])))
        times["checkpoint"].append(_seconds(lambda: trace(lake, newest)))
    return {
        "trace_candidate_ms": _ms(statistics.median(times["candidate"][1:])),
        "trace_checkpoint_ms": _ms(statistics.median(times["checkpoint"][1:])),
        "generations": rounds + 1,
    }


def trace_of_newest(lake: Lake, rounds: int) -> str:
    """The id of the last round's checkpoint."""
    rows = Log(lake).rows([Unit(LOOP, rounds - 1, "train", 0, "bench")], "checkpoints")
    return str(rows["checkpoint_id"][0])


def time_commits(folder: Path, commits: int) -> list[dict[str, Any]]:
    """What an open, a look and a small append cost as commits pile up, and once their round is sealed."""
    log, facts = Log(Lake.create(folder)), Facts(4)
    prompts = facts.ids("prompt", 0, 1)
    rows = []
    for number in range(commits):
        log.once(
            Unit(LOOP, 0, "generate", number),
            "candidates",
            lambda: facts.candidates(0, prompts, BASE, 1),
        )
        if number + 1 in (100, 1_000, commits):
            rows.append(
                {"state": f"{number + 1:,} commits", **_costs(log, Unit(LOOP, 0, "generate", number))}
            )
            _say(str(rows[-1]))
    state = {"state": "finished", "recipe": "rft", "recipe_hash": "-", "recipe_values": "{}"}
    closed = {"event_id": "event-00000-" + "0" * 24, **state, "night_begins": 0, "night_ends": 1}
    log.once(Unit(LOOP, 0, "close"), "rounds", lambda: pl.DataFrame([{**closed, "champion_in": BASE}]))
    sealing = _seconds(lambda: seal_rounds(log, LOOP))
    rows.append({"state": f"sealed in {sealing:.1f} s", **_costs(log, Unit(LOOP, 0, "generate", 7))})
    return rows


def _costs(log: Log, unit: Unit) -> dict[str, Any]:
    new = Unit(LOOP, 1, "generate", int(time.time() * 1e6) % 10**9)
    facts = Facts(4)
    row = facts.candidates(1, facts.ids("prompt", 1, 1), BASE, 1)
    fresh = Log(Lake(log.lake.where))
    return {
        "open_ms": _ms(_typical(lambda: log.lake.open("candidates"))),
        "resume_ms": _ms(_typical(lambda: fresh.holds(unit, "candidates"))),
        "append_ms": _ms(_seconds(lambda: log.once(new, "candidates", lambda: row))),
    }


def measured(work: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """A piece of work in a process of its own: its result, and the most memory it took, in bytes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_with_memory, (work, arguments))


def _with_memory(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, int]:
    result = work(*arguments)
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def at_size(folder: Path, size: int, rounds: int) -> dict[str, Any]:
    """Everything at one size."""
    lake_facts, building = measured(build, folder, size, rounds)
    views, viewing = measured(_views_of, folder)
    traces, tracing = measured(_traces_of, folder, rounds)
    memory = {"build": building, "views": viewing, "trace": tracing}
    return {
        **lake_facts,
        **traces,
        "memory_gb": {k: round(v / 1e9, 2) for k, v in memory.items()},
        "views": views,
    }


def _views_of(folder: Path) -> list[dict[str, Any]]:
    return race_views(Lake(folder))


def _traces_of(folder: Path, rounds: int) -> dict[str, Any]:
    return time_traces(Lake(folder), rounds)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _typical(work: Callable[[], Any]) -> float:
    return statistics.median(_seconds(work) for _ in range(5))


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Prints the tables; the exit code is 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--commits", type=int, default=5_000, help="small commits; 0: leave that part out")
    parser.add_argument("--folder", type=Path, help="keep the lakes here; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="ratchet-bench-"))
    try:
        spare = Path(tempfile.mkdtemp(dir=_folder(root)))
        commits = time_commits(spare / "lake", options.commits) if options.commits else []
        sizes = [at_size(root / f"lake-{n}-{options.rounds}", n, options.rounds) for n in options.sizes]
    finally:
        if options.folder is None:
            shutil.rmtree(root, ignore_errors=True)
    report = {"commits": commits, "sizes": sizes}
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return int(not _keeps_promises(sizes))


def _folder(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    return root


def _keeps_promises(sizes: list[dict[str, Any]]) -> bool:
    views_kept = all(row["ratio"] <= VIEW_RATIO for one in sizes for row in one["views"])
    traces = [max(one["trace_candidate_ms"], one["trace_checkpoint_ms"]) for one in sizes]
    return views_kept and max(traces) <= 1e3 * TRACE_SECONDS and traces[-1] <= TRACE_RATIO * traces[0]


def _print(report: dict[str, Any]) -> None:
    console = Console(width=140)
    if report["commits"]:
        console.print(_table("small commits: what a look costs as they pile up", report["commits"]))
    plain = [{k: v for k, v in one.items() if k != "views"} for one in report["sizes"]]
    console.print(_table("lakes", plain))
    for one in report["sizes"]:
        console.print(_table(f"views over {one['candidates']:,} candidates", one["views"]))


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=title, title_justify="left", box=None)
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int | float) else str(v) for v in row.values()))
    return table


if __name__ == "__main__":
    sys.exit(main())
