"""Rounds on the tutor that only invent prompts: each job in a child of one process that has loaded all, so
that a job can be killed and a test of many kills does not load everything as often.

    python -m tests.flows.inventing FOLDER < jobs.json

Prints each job's exit code and standard error as JSON. Jobs run one after the other; nothing runs in the
parent, so a child begins without threads.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.recipes.rooms import parse_recipe
from flows.round.round import Round, begin, close
from flows.steps.admit import admit
from flows.steps.invent import invent
from flows.writers.inventors import check_invention
from schemas.errors import RatchetError
from schemas.recipes.parsing import load_recipe, with_value
from schemas.recipes.shared import Invention
from tests.flows.conftest import SMALL
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.store.fault import ask

LOOP, WANTED = "inventing", 10  # with shards of 8: passes of several batches


def run(root: Path, rounds: int, invention: Invention) -> None:
    """The rounds that are left of so many."""
    values = load_recipe(tutor.RECIPES / "rft.yaml")
    for setting in SMALL:
        key, _, text = setting.partition("=")
        values = with_value(values, key, text)
    recipe = parse_recipe(values)
    check_invention(invention, tutor.BASE)
    log = Log(Lake.create(root))
    open_loop(log, LOOP, check_opening(tutor.BASE, recipe))
    while (state := fold(log.lake, LOOP)) is not None and state.next_round < rounds:
        round_ = Round(log, LOOP, state.next_round, recipe, state.base, state.champion)
        begin(round_, 0, rounds)
        admit(round_)
        invent(round_, WANTED, invention)
        close(round_, "held", "it only invents", None, 0.0)


def child(job: dict[str, Any], folder: Path) -> int:
    """One job; returns its exit code."""
    ask(job.get("fault", ""))
    try:
        run(folder / job["lake"], job.get("rounds", 1), Invention.model_validate(job["invention"]))
    except RatchetError as error:
        print(f"ratchet: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def outcome(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One job in a child of this process."""
    said = folder / "stderr.txt"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            with said.open("wb") as file:
                os.dup2(file.fileno(), 2)
            code = child(job, folder)
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    return {"code": os.waitstatus_to_exitcode(status), "stderr": said.read_text("utf-8", "replace")}


def main() -> int:
    """The command line."""
    folder = Path(sys.argv[1])
    print(json.dumps([outcome(job, folder) for job in json.load(sys.stdin)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
