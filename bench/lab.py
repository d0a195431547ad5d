"""The experiments of docs/lab.md, on the tutor: `python -m bench.lab EXPERIMENT`.

    nights    the night of `make night` for several seeds: held-out accuracy of base and last champion; with
              --control no-filter the same nights on as many answers by lot, whatever the verifier says
    samples   one round at k = 1, 2, 4, 8, 16 samples a prompt: accuracy and distinct paths
    pooling   one checkpoint writing against several, the same number of answers a prompt
    climb     ten rounds beside the same loop without its filter and reference solutions (bench/climb.py)
    rewards   self-rewarding rounds with judging kept in training, without, and judged by another model
    preferences
              preference models: people's pairs, and soft labels against hard ones (bench/preferences.py)
    constitutional  harm, accuracy and over-refusal before and after the constitutional supervised phase, by
              kind and by the number of revisions (bench/constitutional.py)
    dialogues the same round over a file of dialogues such as HH-RLHF's, and what became of each of them

Each runs the flow itself in a lake of its own (kept with --lake). Tables go to standard output, raw rows to
--json FILE, and `nights`, `rewards`, `climb` and `constitutional` draw their curves with --plot FILE.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from flows.commands.environment import prepare

prepare()

import polars as pl  # noqa: E402
from rich.console import Console  # noqa: E402

import tutor  # noqa: E402
from bench.climb import climb, plot_climb  # noqa: E402
from bench.constitutional import constitutional, dialogues, plot_constitutional, tables  # noqa: E402
from bench.preferences import preferences  # noqa: E402
from flows.commands.prefect_server import prefect_server  # noqa: E402
from flows.nightly import night  # noqa: E402
from flows.pages.show import rows_table  # noqa: E402
from flows.pages.status import interval  # noqa: E402
from flows.recipes.rooms import parse_recipe  # noqa: E402
from flows.round.progress import Lines, reporting  # noqa: E402
from schemas.recipes.parsing import load_recipe, with_value  # noqa: E402
from schemas.recipes.shared import Recipe  # noqa: E402
from tasks.evaluate.measure import greedy, greedy_metrics  # noqa: E402
from tasks.generate.embedded.embedded import EmbeddedEngine  # noqa: E402
from tasks.verify.maths.maths import verify  # noqa: E402
from tutor.seeds import BLIND  # noqa: E402
from tutor.world import stories  # noqa: E402
from warehouse.lake import Lake  # noqa: E402
from warehouse.loops import find_checkpoint  # noqa: E402
from warehouse.query import query  # noqa: E402

TITLES = {
    "constitutional": "The constitutional supervised phase on the tutor",
    "climb": "Ten rounds of rejection-sampling fine-tuning on the tutor, and two controls",
    "nights": "Nights of rejection-sampling fine-tuning on the tutor",
    "rewards": "Self-rewarding nights on the tutor",
}
EXPERIMENTS = (
    "nights",
    "samples",
    "pooling",
    "rewards",
    "climb",
    "constitutional",
    "dialogues",
    "preferences",
)
# Yuan et al. 2023, table of LLaMA-7B on GSM8K: k, accuracy in %, distinct paths a question (with D).
PAPER = {1: (37.6, 1.17), 3: (39.0, 1.44), 6: (39.5, 1.74), 12: (41.6, 2.20), 25: (40.9, 2.93)}


def recipe(name: str = "rft", **settings: object) -> Any:
    """One of the tutor's recipes with some values changed; `a__b` names the key a.b."""
    values = load_recipe(tutor.RECIPES / f"{name}.yaml")
    for key, value in settings.items():
        values = with_value(values, key.replace("__", "."), json.dumps(value))
    return parse_recipe(values)


def nights(lake: str, seeds: list[int], rounds: int, control: bool = False) -> list[dict[str, Any]]:
    """Base and champion after each round, by seed; with a control, the same of a loop without its filter."""
    rows = []
    for seed in seeds:
        status = night(recipe(seed=seed), f"night-{seed}", rounds, lake)
        rows += _night_rows(seed, status, "")
        if control:
            counts = [max(1, one["trained_on"]) for one in status]
            blind = night(recipe(seed=seed, unfiltered=counts), f"no-filter-{seed}", rounds, lake)
            rows += _night_rows(seed, blind, "no filter, ")
    return rows


def _night_rows(seed: int, status: list[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    first = status[0]["champion"]
    rows = [_row(seed, f"{arm}base", first, status[0], first)]
    for one in status:
        champion = one["challenger"] if one["verdict"] == "promoted" else one["champion"]
        rows.append(_row(seed, f"{arm}round {one['round']}", champion, one, first))
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


def rewards(lake: str, seeds: list[int], rounds: int) -> list[dict[str, Any]]:
    """Self-rewarding nights: accuracy after each round, what its pairs were, and how the judge did."""
    ways: dict[str, dict[str, object]] = {
        "judging kept": {},
        "judging not kept": {"seeds__keep_judging": 0},
        "another judge": {"rewarding__model": str(tutor.JUDGE)},
    }
    rows = []
    for name, settings in ways.items():
        for seed in seeds if name == "judging kept" else seeds[:1]:
            loop = f"{name.replace(' ', '-')}-{seed}"
            own_recipe = recipe("self-rewarding", seed=seed, evaluation__sampled_count=0, **settings)
            status = night(own_recipe, loop, rounds, lake)
            values = {"loop": loop, "blind": sorted(BLIND)}
            judged = {row["round"]: row for row in query(Lake(lake), _JUDGED, values).to_dicts()}
            rows.append(_rewarded(name, seed, "start", status[0]["champion"], {}, ""))
            for one in status:
                what, facts = f"round {one['round']}", judged.get(one["round"], {})
                rows.append(_rewarded(name, seed, what, one["challenger"], facts, one["verdict"]))
            for row in rows[-len(status) - 1 :]:
                row["other words"] = _in_other_words(Lake(lake), loop, row.pop("checkpoint"), own_recipe)
    return rows


def _in_other_words(lake: Lake, loop: str, checkpoint: str | None, with_recipe: Recipe) -> str | None:
    """Greedy accuracy, in % with its interval, on as many stories of the held-out family."""
    if checkpoint is None:
        return None
    held_out = stories(
        with_recipe.seed, with_recipe.prompts.eval_count, "held-out", with_recipe.prompts.difficulties
    )
    with EmbeddedEngine(find_checkpoint(lake, loop, checkpoint).folder) as engine:
        questions = [story.question for story in held_out]
        answers = [
            answer
            for (answer,) in engine.generate(questions, greedy(with_recipe.evaluation), range(len(held_out)))
        ]
    outcomes = [verify(a.text, str(story.answer)).outcome for a, story in zip(answers, held_out, strict=True)]
    tokens, problems = [answer.token_count for answer in answers], [story.problem for story in held_out]
    accuracy, _ = greedy_metrics(
        pl.DataFrame(
            {"outcome": outcomes, "token_count": tokens, "problem": problems, "prompt_id": questions}
        )
    )
    return interval({"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high})


def _rewarded(
    way: str, seed: int, what: str, measured: dict[str, Any] | None, judged: dict[str, Any], verdict: str
) -> dict[str, Any]:
    """One line of the table: accuracy in % with its interval, the round's pairs, and how its judge did."""
    columns = ("pairs", "no pair", "chosen right", "rejected right", "agreement", "blind")
    values = measured or {"accuracy": None, "low": None, "high": None}
    return {
        "way": way,
        "seed": seed,
        "what": what,
        "greedy": interval(measured),
        **{name: judged.get(name) for name in columns},
        "verdict": verdict,
        "checkpoint": (measured or {}).get("checkpoint"),
        **{name: values[name] for name in ("accuracy", "low", "high")},
    }


_JUDGED = """
    WITH judge AS (
        SELECT round, sum(agreement * answers) / sum(answers) AS agreement,
               avg(agreement) FILTER (topic IN (SELECT unnest($blind))) AS blind
        FROM judge_agreement WHERE loop = $loop GROUP BY round
    )
    SELECT round, sum(pairs)::INT AS pairs, sum((ties + near_ties) * prompts) / sum(prompts) AS "no pair",
           sum(chosen_right * pairs) / sum(pairs) AS "chosen right",
           sum(rejected_right * pairs) / sum(pairs) AS "rejected right",
           any_value(agreement) AS agreement, any_value(blind) AS blind
    FROM rewards JOIN judge USING (round) WHERE loop = $loop GROUP BY round"""


def _row(
    seed: int, name: str, measured: dict[str, Any], one: dict[str, Any], base: dict[str, Any]
) -> dict[str, Any]:
    """One line of a table: accuracy in % with its interval, the factor over the base, the round's paths."""
    is_base = name.endswith("base")
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
    """Held-out accuracy by round, a line a seed and way, with 95% intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), dpi=150)
    lines = [f"{row['way']}, seed {row['seed']}" if "way" in row else f"seed {row['seed']}" for row in rows]
    for line in dict.fromkeys(lines):
        own = [
            row for row, its in zip(rows, lines, strict=True) if its == line and row["accuracy"] is not None
        ]
        values = [100 * row["accuracy"] for row in own]
        below = [100 * (row["accuracy"] - row["low"]) for row in own]
        above = [100 * (row["high"] - row["accuracy"]) for row in own]
        axes.errorbar(range(len(own)), values, [below, above], marker="o", capsize=3, label=line)
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
    parser.add_argument("--rounds", type=int, help="of a night (3; climb 10, constitutional 1)")
    parser.add_argument("--lake", help="keep the lake here")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--plot", type=Path, help="draw nights, rewards, climb or constitutional there (PNG)")
    parser.add_argument("--control", choices=["no-filter"], help="beside nights: the loop without its filter")
    parser.add_argument("--data", type=Path, help="of dialogues: a file such as HH-RLHF's test.jsonl.gz")
    options = parser.parse_args()
    if (options.experiment == "dialogues") != (options.data is not None):
        parser.error("--data FILE goes with dialogues")
    if options.plot and options.experiment not in TITLES:
        parser.error(f"--plot draws {' and '.join(TITLES)}")
    run = {
        "nights": lambda *given: nights(*given, control=options.control is not None),
        "samples": samples,
        "pooling": pooling,
        "rewards": rewards,
        "climb": lambda lake, seeds, rounds: climb(lake, seeds, rounds, recipe),
        "preferences": lambda lake, seeds, rounds: preferences(lake, seeds, recipe),
        "constitutional": lambda lake, seeds, rounds: constitutional(
            lake, seeds, rounds, partial(recipe, "constitutional")
        ),
        "dialogues": lambda lake, seeds, rounds: dialogues(
            lake, seeds, options.data, partial(recipe, "constitutional")
        ),
    }[options.experiment]
    rounds = options.rounds or {"climb": 10, "constitutional": 1}.get(options.experiment, 3)
    with tempfile.TemporaryDirectory() as folder, prefect_server() as ready, reporting(Lines()):
        ready()
        rows = run(options.lake or str(Path(folder) / "lake"), options.seeds, rounds)
    hidden = ("all",) if options.experiment == "preferences" else ("accuracy", "low", "high")
    visible = [{k: v for k, v in row.items() if k not in hidden} for row in rows]
    several = options.experiment in ("constitutional", "dialogues")
    shown = tables(rows) if several else {options.experiment: visible}
    console = Console(width=160 if several else 130)
    for title, part in shown.items():
        console.print(rows_table(part, title))
    if options.experiment == "samples":
        paper = ", ".join(f"k={k}: {score} ({paths} paths)" for k, (score, paths) in PAPER.items())
        console.print(f"the paper, LLaMA-7B on GSM8K, SFT 35.9, paths with the reference counted: {paper}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        draw = {"climb": plot_climb, "constitutional": plot_constitutional}.get(options.experiment, plot)
        draw(rows, options.plot, TITLES[options.experiment])


if __name__ == "__main__":
    main()
