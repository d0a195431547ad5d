"""The experiments of docs/lab.md, on the tutor: `python -m bench.lab EXPERIMENT`.

    nights    the night of `make night` for several seeds: held-out accuracy of base and last champion; with
              --control, beside the same controls as climb, all on its final suite
    samples   one round at k = 1, 2, 4, 8, 16 samples a prompt: accuracy and distinct paths
    pooling   one checkpoint writing against several, the same number of answers a prompt
    climb     ten rounds beside the same loop without its filter and reference solutions (bench/climb.py)
    rewards   self-rewarding rounds on climb's final suite (bench/rewards.py); with --control also without
              judging kept in training, and judged by another model
    preferences
              preference models: people's pairs, and soft labels against hard ones (bench/preferences.py)
    constitutional  harm, accuracy and over-refusal before and after the constitutional supervised phase, by
              kind and by the number of revisions (bench/constitutional.py)
    constitutional-rl  PPO against a preference model after the supervised phase, KL term on and off
              (bench/constitutional_rl.py)
    distillation
              students of the tutor's teacher by what they are shown, at equal numbers of examples
              (bench/distillation.py; make teacher first)
    grpo      policy gradients against rejection sampling at equal numbers of samples (bench/grpo.py)
    dialogues the same round over a file of dialogues such as HH-RLHF's, and what became of each of them

Each runs the flow itself in a lake of its own (kept with --lake). Tables go to standard output, raw rows to
--json FILE. `nights`, `rewards`, `climb`, `grpo`, `distillation` and both constitutional ones draw theirs
with --plot FILE.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flows.commands.environment import prepare

prepare()

from rich.console import Console  # noqa: E402

import tutor  # noqa: E402
from bench.climb import CONTROLS as CLIMB_CONTROLS  # noqa: E402
from bench.climb import climb, plot_arms  # noqa: E402
from bench.constitutional import constitutional, dialogues, plot_constitutional, tables  # noqa: E402
from bench.constitutional_rl import constitutional_rl, plot_rl  # noqa: E402
from bench.distillation import CURVES as DISTILLATION_CURVES  # noqa: E402
from bench.distillation import distillation  # noqa: E402
from bench.distillation_curves import needed, plot_distillation  # noqa: E402
from bench.grpo import CURVES, grpo, plot_grpo  # noqa: E402
from bench.preferences import preferences  # noqa: E402
from bench.rewards import CONTROLS as REWARDS_CONTROLS  # noqa: E402
from bench.rewards import rewards  # noqa: E402
from flows.commands.prefect_server import prefect_server  # noqa: E402
from flows.nightly import night  # noqa: E402
from flows.pages.show import rows_table  # noqa: E402
from flows.pages.status import interval  # noqa: E402
from flows.recipes.rooms import parse_recipe  # noqa: E402
from flows.round.progress import Lines, reporting  # noqa: E402
from schemas.recipes.parsing import load_recipe, with_value  # noqa: E402

TITLES = {
    "distillation": "Students of the tutor's teacher, by what they are shown",
    "grpo": "GRPO and RFT on the tutor, 7,680 samples each",
    "constitutional": "The constitutional supervised phase on the tutor",
    "constitutional-rl": "The constitutional RL phase on the tutor",
    "climb": "Ten rounds of rejection-sampling fine-tuning on the tutor, and two controls",
    "nights": "Nights of rejection-sampling fine-tuning on the tutor",
    "rewards": "Self-rewarding rounds on the tutor",
}
EXPERIMENTS = (
    "nights",
    "samples",
    "pooling",
    "rewards",
    "climb",
    "constitutional",
    "constitutional-rl",
    "distillation",
    "grpo",
    "dialogues",
    "preferences",
)
CONTROLS_OF = {"nights": CLIMB_CONTROLS, "climb": CLIMB_CONTROLS, "rewards": tuple(REWARDS_CONTROLS)}
# Yuan et al. 2023, table of LLaMA-7B on GSM8K: k, accuracy in %, distinct paths a question (with D).
PAPER = {1: (37.6, 1.17), 3: (39.0, 1.44), 6: (39.5, 1.74), 12: (41.6, 2.20), 25: (40.9, 2.93)}


def recipe(name: str = "rft", **settings: object) -> Any:
    """One of the tutor's recipes with some values changed; `a__b` names the key a.b."""
    values = load_recipe(tutor.RECIPES / f"{name}.yaml")
    for key, value in settings.items():
        values = with_value(values, key.replace("__", "."), json.dumps(value))
    return parse_recipe(values)


def self_rewarding(**settings: object) -> Any:
    """The tutor's self-rewarding with some values changed, measured by greedy answers alone."""
    return recipe("self-rewarding", evaluation__sampled_count=0, **settings)


def nights(lake: str, seeds: list[int], rounds: int, controls: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Base and champion after each round, by seed; with controls, all of them on the final suite."""
    if controls:
        return climb(lake, seeds, rounds, recipe, controls, "night")
    rows = []
    for seed in seeds:
        status = night(recipe(seed=seed), f"night-{seed}", rounds, lake)
        first = status[0]["champion"]
        rows.append(_row(seed, "base", first, status[0], first))
        for one in status:
            champion = one["challenger"] if one["verdict"] == "promoted" else one["champion"]
            rows.append(_row(seed, f"round {one['round']}", champion, one, first))
    return rows


def samples(lake: str, seeds: list[int], rounds: int) -> list[dict[str, Any]]:
    """One round from the base at each k."""
    rows = []
    for seed in seeds:
        for k in (1, 2, 4, 8, 16):
            chosen = recipe(seed=seed, sampling__samples=k, cap=None, evaluation__sampled_count=0)
            (one,) = night(chosen, f"k{k}-{seed}", 1, lake)
            rows.append(_row(seed, f"k = {k}", one["challenger"], one, one["champion"]))
    return rows


def pooling(lake: str, seeds: list[int], rounds: int) -> list[dict[str, Any]]:
    """The same number of answers a prompt, written by one, two or four checkpoints."""
    rows = []
    for seed in seeds:
        for writers in (1, 2, 4):
            settings = {"pool_checkpoints": writers, "sampling__samples": 8 // writers}
            own_recipe = recipe(seed=seed, cap=None, evaluation__sampled_count=0, **settings)
            status = night(own_recipe, f"pool{writers}-{seed}", rounds, lake)
            last = status[-1]
            rows.append(_row(seed, f"{writers} writing", last["challenger"], last, status[0]["champion"]))
    return rows


def _row(
    seed: int, name: str, measured: dict[str, Any], one: dict[str, Any], base: dict[str, Any]
) -> dict[str, Any]:
    """One line of a table: accuracy in % with its interval, the factor over the base, the round's paths."""
    is_base = name == "base"
    return {
        "seed": seed,
        "what": name,
        "greedy": interval(measured),
        "times the base": measured["accuracy"] / base["accuracy"] if base["accuracy"] else None,
        "pass@1": measured["metrics"].get("pass@1"),
        "paths a question": None if is_base else one["distinct_paths"],
        "accepted": None if is_base else one["accepted"],
        "trained on": None if is_base else one["trained_on"],
        "verdict": "" if is_base else one["verdict"],
        "seconds": None if is_base else one["seconds"].get("total"),
        "accuracy": measured["accuracy"],
        "low": measured["low"],
        "high": measured["high"],
    }


def plot(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """Held-out accuracy by round, a line a seed, with 95% intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), dpi=150)
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = [row for row in rows if row["seed"] == seed]
        values = [100 * row["accuracy"] for row in own]
        below = [100 * (row["accuracy"] - row["low"]) for row in own]
        above = [100 * (row["high"] - row["accuracy"]) for row in own]
        axes.errorbar(range(len(own)), values, [below, above], marker="o", capsize=3, label=f"seed {seed}")
        axes.set_xticks(range(len(own)), [row["what"] for row in own])
    axes.set_ylabel("held-out accuracy, greedy, %")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    axes.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Run one experiment and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, help="of a night (3; climb 10, rewards 4, constitutional 1)")
    parser.add_argument("--lake", help="keep the lake here")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--plot", type=Path, help=f"draw {', '.join(TITLES)} there (PNG)")
    parser.add_argument("--data", type=Path, help="of dialogues: a file such as HH-RLHF's test.jsonl.gz")
    parser.add_argument(
        "--control",
        nargs="+",
        default=[],
        choices=[*CLIMB_CONTROLS, *REWARDS_CONTROLS],
        help=f"beside nights (or of climb only these): {', '.join(CLIMB_CONTROLS)};\n"
        f"beside rewards: {', '.join(REWARDS_CONTROLS)}",
    )
    options = parser.parse_args()
    if (options.experiment == "dialogues") != (options.data is not None):
        parser.error("--data FILE goes with dialogues")
    if options.plot and options.experiment not in TITLES:
        parser.error(f"--plot draws {' and '.join(TITLES)}")
    if not {*options.control} <= {*CONTROLS_OF.get(options.experiment, ())}:
        parser.error(f"{options.experiment} has no control {' or '.join(options.control)}")
    seeds, controls = options.seeds, options.control
    rounds = options.rounds or {"climb": 10, "rewards": 4, "constitutional": 1}.get(options.experiment, 3)
    of_manner = partial(recipe, "constitutional")
    run: dict[str, Callable[[str], list[dict[str, Any]]]] = {
        "nights": lambda lake: nights(lake, seeds, rounds, controls),
        "samples": lambda lake: samples(lake, seeds, rounds),
        "pooling": lambda lake: pooling(lake, seeds, rounds),
        "rewards": lambda lake: rewards(lake, seeds, rounds, self_rewarding, controls),
        "climb": lambda lake: climb(lake, seeds, rounds, recipe, controls or CLIMB_CONTROLS),
        "preferences": lambda lake: preferences(lake, seeds, recipe),
        "constitutional": lambda lake: constitutional(lake, seeds, rounds, of_manner),
        "constitutional-rl": lambda lake: constitutional_rl(lake, seeds, recipe),
        "distillation": lambda lake: distillation(lake, seeds, recipe),
        "grpo": lambda lake: grpo(lake, seeds, recipe),
        "dialogues": lambda lake: dialogues(lake, seeds, options.data, of_manner),
    }
    with tempfile.TemporaryDirectory() as folder, prefect_server() as ready, reporting(Lines()):
        ready()
        rows = run[options.experiment](options.lake or str(Path(folder) / "lake"))
    hidden = (
        ("all",)
        if options.experiment == "preferences"
        else ("accuracy", "low", "high", *CURVES, *DISTILLATION_CURVES)
    )
    visible = [{k: v for k, v in row.items() if k not in hidden} for row in rows]
    several = options.experiment in ("constitutional", "constitutional-rl", "dialogues")
    shown = tables(rows) if several else {options.experiment: visible}
    console = Console(width=160 if several or options.experiment == "distillation" else 130)
    for title, part in shown.items():
        console.print(rows_table(part, title))
    if options.experiment == "distillation":
        console.print(rows_table(needed(rows), "means over seeds, held out"))
    if options.experiment == "samples":
        paper = ", ".join(f"k={k}: {score} ({paths} paths)" for k, (score, paths) in PAPER.items())
        console.print(f"the paper, LLaMA-7B on GSM8K, SFT 35.9, paths with the reference counted: {paper}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        draw = plot if options.experiment == "nights" and not controls else plot_arms
        own = {"constitutional": plot_constitutional, "constitutional-rl": plot_rl, "grpo": plot_grpo}
        own |= {"distillation": plot_distillation}
        draw = own.get(options.experiment, draw)
        draw(rows, options.plot, TITLES[options.experiment])


if __name__ == "__main__":
    main()
