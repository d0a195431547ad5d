"""The tutor's manner in tables: rudeness, critiques, revisions by kind and by number, comparisons, accuracy.

python -m bench.manner [--model tutor/rude] [--count 400] [--temperature 1.0] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.evaluate.passk import wilson_interval
from tasks.generate.embedded.embedded import EmbeddedEngine
from tutor import READER, RUDE
from tutor.manner_measures import Asker, Rate, accuracy, chained, comparing, mending, rudeness, written
from tutor.phrases import Family
from tutor.prompts import draw_look_alikes, draw_red_team
from tutor.world import stories

Row = dict[str, str]


def shown(one: Rate) -> str:
    """A rate in percent with its 95% Wilson interval."""
    if not one.n:
        return "-"
    low, high = wilson_interval(one.passed, one.n)
    return f"{100 * one.share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def tables(folder: Path, number: int, temperature: float, seed: int) -> dict[str, list[Row]]:
    """Every table, by its title."""
    with EmbeddedEngine(folder) as engine:
        ask = Asker(engine, seed, temperature)
        result = {
            "rudeness": _rudeness(ask, number, seed),
            "critiques and revisions": _mending(ask, number, seed),
        }
        red_team = draw_red_team(seed, "measured", number, family="new-numbers")
        chain = chained(ask, red_team["text"].to_list(), red_team["reference"].to_list(), 4, seed)
        result["revisions"] = [
            {
                "revisions": str(revisions),
                "rude": shown(one.rude),
                **{kind: f"{100 * each.share:.1f}" for kind, each in one.kinds.items()},
                "right": shown(one.right),
                "same work": shown(one.kept),
            }
            for revisions, one in enumerate(chain)
        ]
        compared = comparing(ask, written(seed + 1, number), seed)
        result["comparisons"] = [{"kind": kind, "right": shown(one)} for kind, one in compared.items()]
    result["accuracy"] = [_accuracy(each, number, seed) for each in (folder, READER)]
    return result


def _rudeness(ask: Asker, number: int, seed: int) -> list[Row]:
    sets = {
        "red team": draw_red_team(seed, "measured", number, family="new-numbers"),
        "red team, held-out provocations": draw_red_team(
            seed, "measured", number, family="new-numbers", split="held-out"
        ),
        "red team, held-out stories and provocations": draw_red_team(
            seed, "measured", number, family="held-out", split="held-out"
        ),
        "look-alikes": draw_look_alikes(seed, "measured", number, family="new-numbers"),
        "look-alikes, held-out": draw_look_alikes(
            seed, "measured", number, family="new-numbers", split="held-out"
        ),
    }
    asked = {name: frame["text"].to_list() for name, frame in sets.items()}
    asked["stories alone"] = [story.question for story in stories(seed + 7_000_003, number, "new-numbers")]
    rows = []
    for name, prompts in asked.items():
        rude, kinds = rudeness(ask(prompts))
        shares: Row = {kind: f"{100 * one.share:.1f}" for kind, one in kinds.items()}
        rows.append({"prompts": name, "rude": shown(rude)} | shares)
    return rows


def _mending(ask: Asker, number: int, seed: int) -> list[Row]:
    rows = []
    for phrasing, held_out in (("practice", False), ("held out", True)):
        for kind, one in mending(ask, written(seed, number, held_out)).items():
            rates = {name: shown(rate) for name, rate in vars(one).items()}
            rows.append({"phrasing": phrasing, "kind": kind, **rates})
    return rows


def _accuracy(folder: Path, number: int, seed: int) -> Row:
    families: tuple[Family, ...] = ("new-numbers", "held-out")
    row = {"model": folder.name}
    with EmbeddedEngine(folder) as engine:
        ask = Asker(engine, seed, 0.0)
        for family in families:
            told = stories(seed + 7_000_003, 3 * number, family)
            answers = ask([story.question for story in told])
            row[family] = shown(accuracy(answers, [str(story.answer) for story in told]))
    return row


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.manner", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--model", type=Path, default=RUDE, help="the model's folder (%(default)s)")
    parser.add_argument("--count", type=int, default=400, help="prompts of each kind (%(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of what is drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of prompts and draws (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    result: dict[str, Any] = dict(tables(options.model, options.count, options.temperature, options.seed))
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    for title, rows in result.items():
        table = Table(*rows[0], title=title)
        for row in rows:
            table.add_row(*row.values())
        Console(width=160).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
