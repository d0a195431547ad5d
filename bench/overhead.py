"""How much of a round is not the model's own work: `python -m bench.overhead`.

Runs rounds of 2,000 prompts x 4 samples on the tutor in a lake of its own and reports, for the last (a
warm) round, each step's seconds beside those that the model itself took (generation, training, answers
for evaluation), and the share that is left: the log, verification, filters, monitors and Prefect.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from flows.commands.environment import prepare

prepare()

from rich.console import Console  # noqa: E402

import tutor  # noqa: E402
from flows.commands.prefect_server import prefect_server  # noqa: E402
from flows.nightly import night  # noqa: E402
from flows.pages.show import rows_table  # noqa: E402
from flows.recipes.rooms import parse_recipe  # noqa: E402
from flows.round.progress import Lines, reporting  # noqa: E402
from schemas.recipes.parsing import load_recipe, with_value  # noqa: E402

PROMISED = 0.10


def main() -> int:
    """Print the table; exit 1 where the overhead is above what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prompts", type=int, default=2000, help="prompts a round (2000)")
    parser.add_argument("--samples", type=int, default=4, help="samples a prompt (4)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; the last one counts (2)")
    options = parser.parse_args()
    values = load_recipe(tutor.RECIPES / "rft.yaml")
    values = with_value(values, "prompts.per_round", str(options.prompts))
    values = with_value(values, "sampling.samples", str(options.samples))
    with tempfile.TemporaryDirectory() as folder, prefect_server() as ready, reporting(Lines()):
        ready()
        rounds = night(parse_recipe(values), "bench", options.rounds, str(Path(folder) / "lake"))
    last = rounds[-1]
    seconds = dict(last["seconds"])
    total, model = seconds.pop("total"), seconds.pop("model")
    rest = total - sum(seconds.values())
    rows = [
        {"step": name, "seconds": each, "share of the round": each / total} for name, each in seconds.items()
    ]
    rows.append({"step": "between steps", "seconds": rest, "share of the round": rest / total})
    rows.append({"step": "the round", "seconds": total, "share of the round": 1.0})
    rows.append({"step": "of it the model's own work", "seconds": model, "share of the round": model / total})
    overhead = 1 - model / total
    console = Console(width=100)
    console.print(
        rows_table(
            rows, f"round {last['round']}: {last['prompts']:,} prompts, {last['candidates']:,} answers"
        )
    )
    console.print(f"overhead {100 * overhead:.1f}% of the round (promised: at most {100 * PROMISED:.0f}%)")
    return 0 if overhead <= PROMISED else 1


if __name__ == "__main__":
    raise SystemExit(main())
