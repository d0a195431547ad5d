"""Iterations of policy gradients a minute, and what of them is not the model's: `python -m bench.policy`.

Runs one round of the tutor's grpo in a lake of its own and reports each step's seconds an iteration (without
evaluation and audit, which come once a round), the share that the model itself takes (generation, reference
passes, trainings), and of a training what are optimizer steps: the rest loads, writes and hashes models.
"""

from __future__ import annotations

import argparse
import json
import tempfile

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
from warehouse.lake import Lake  # noqa: E402
from warehouse.query import query  # noqa: E402

ONCE = ("admit", "evaluate", "audit")  # steps of the whole round
OPTIMIZER = "SELECT sum(seconds) AS seconds FROM trainings WHERE state = 'finished'"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20, help="iterations (20)")
    parser.add_argument("--prompts", type=int, default=32, help="prompts an iteration, 8 answers each (32)")
    parser.add_argument("--ppo", action="store_true", help="with a critic (estimator gae), trained beside")
    options = parser.parse_args()
    values = load_recipe(tutor.RECIPES / "grpo.yaml")
    small = {"iterations": options.iterations, "prompts_per_iteration": options.prompts}
    small |= {"prompts.eval_count": 200, "evaluation.sampled_count": 0}
    if options.ppo:
        small |= {"advantages.estimator": "gae", "critic.training": json.dumps(values["training"])}
    for key, value in small.items():
        values = with_value(values, key, str(value))
    with tempfile.TemporaryDirectory() as folder, prefect_server() as ready, reporting(Lines()):
        ready()
        (done,) = night(parse_recipe(values), "bench", 1, folder)
        steps = float(query(Lake(folder), OPTIMIZER)["seconds"][0])
    seconds = dict(done["seconds"])
    once = sum(seconds.get(name, 0.0) for name in ONCE)
    total, model = seconds.pop("total") - once, seconds.pop("model") - seconds["evaluate"]
    each = {name: value for name, value in seconds.items() if name not in ONCE}
    each["between steps"] = total - sum(each.values())
    rows = [
        {"step": name, "seconds an iteration": value / options.iterations, "share": value / total}
        for name, value in {
            **each,
            "all of it": total,
            "the model's (generate, credit, train)": model,
            "of training, optimizer steps": steps,
            "outside the model": total - model,
        }.items()
    ]
    console = Console(width=100)
    console.print(rows_table(rows, f"{options.iterations} iterations of {8 * options.prompts} answers"))
    rate = 60 * options.iterations / total
    console.print(f"{rate:.1f} iterations a minute; {100 * (1 - model / total):.1f}% outside the model")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
