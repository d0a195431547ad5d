"""Ten rounds that climb, beside two controls: `python -m bench.lab climb --seeds 0 1 2 --lake FOLDER`.

For each seed three arms: the tutor's rft as it ships; the same loop without its filter, on as many answers by
lot; and the base taught as many reference solutions as the last champion has learned from. All are measured
on one locked final suite of 1,500 distinct problems, drawn from a seed of its own that no choice of values
was made on. What is done is kept in the lake and beside it: the same command goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

import tutor
from flows.nightly import night
from flows.pages.status import interval, status
from schemas.job import TrainingJob
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Evaluation, Recipe
from tasks.evaluate.measure import greedy, greedy_metrics
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.checkpoint import weights_hash
from tasks.train.loop import fit
from tasks.verify.maths.maths import verify
from tutor.world import Story, stories
from warehouse.lake import Lake
from warehouse.loops import find_checkpoint, fold

PROBLEMS = 1500
LOCKED = 20_261_127
"""The seed of the final suite, by which no loop draws; some one-step problems are told elsewhere too."""
LONGEST = 96
"""Tokens of an answer there, as in the tutor's recipes."""
_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
REFERENCES = 77_000_000
"""Where the seeds of the reference solutions begin."""


@dataclass(frozen=True)
class Final:
    """A checkpoint on the final suite: accuracy with its interval, and by steps."""

    accuracy: float
    low: float
    high: float
    by_steps: Mapping[str, float]


def climb(lake: str, seeds: list[int], rounds: int, recipe: Callable[..., Rft]) -> list[dict[str, Any]]:
    """Every arm of every seed: the base, then the champion after each round."""
    done = {seed: loop_done(lake, f"climb-{seed}", rounds, recipe(seed=seed)) for seed in seeds}
    rows = [row for seed in seeds for row in _rows("rft", seed, lake, done[seed])]
    for seed in seeds:
        learned = sum(one["trained_on"] for one in done[seed] if one["verdict"] == "promoted")
        rows.append(_reference(lake, seed, learned, recipe(seed=seed)))
    for seed in seeds:
        counts = tuple(max(1, one["trained_on"]) for one in done[seed])
        blind = loop_done(lake, f"no-filter-{seed}", rounds, recipe(seed=seed, unfiltered=counts))
        rows += _rows("no filter", seed, lake, blind)
    return rows


def loop_done(lake: str, loop: str, rounds: int, recipe: Recipe) -> list[dict[str, Any]]:
    """The rounds of a loop: those that the lake holds, and those that it lacks yet."""
    there = Lake(lake) if Lake.check(lake) else None
    state = fold(there, loop) if there else None
    if there and state and state.next_round >= rounds:
        return status(there, loop)[:rounds]
    done = state.next_round if state and not state.unfinished else 0
    return night(recipe, loop, rounds - done, lake)


def _rows(arm: str, seed: int, lake: str, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The base and the champion after each round, on the final suite."""
    opened, loop = Lake(lake), done[0]["loop"]
    rows = [{"round": "base", "checkpoint": done[0]["champion"], "verdict": ""}]
    for one in done:
        champion = one["challenger"] if one["verdict"] == "promoted" else one["champion"]
        rows.append(_costs(one) | {"checkpoint": champion, "verdict": one["verdict"]})
    measured = [
        _final(lake, find_checkpoint(opened, loop, row["checkpoint"]["checkpoint"]).folder) for row in rows
    ]
    return [
        _row(arm, seed, row["round"], final, measured[0])
        | {"gate": interval(row["checkpoint"]), "verdict": row["verdict"]}
        | {name: row.get(name) for name in ("trained on", "seconds")}
        for row, final in zip(rows, measured, strict=True)
    ]


def _costs(one: dict[str, Any]) -> dict[str, Any]:
    """A round's number, examples and seconds."""
    seconds = one["seconds"].get("total")
    return {"round": str(one["round"]), "trained on": one["trained_on"], "seconds": seconds}


def _row(arm: str, seed: int, name: str, final: Final, base: Final) -> dict[str, Any]:
    """One line: accuracy in percent with its interval, times the base, and by steps."""
    marks = {"accuracy": final.accuracy, "low": final.low, "high": final.high}
    return {
        "arm": arm,
        "seed": seed,
        "round": name,
        "final": interval(marks),
        "times the base": final.accuracy / base.accuracy if base.accuracy else None,
        **{f"{steps} steps": f"{100 * share:.1f}" for steps, share in final.by_steps.items()},
        **marks,
    }


def _reference(lake: str, seed: int, count: int, recipe: Rft) -> dict[str, Any]:
    """The base after one training on so many reference solutions to stories of the same kind."""
    solved = stories(REFERENCES + seed, count, recipe.prompts.family, recipe.prompts.difficulties)
    examples = pl.DataFrame(
        {
            "example_id": [f"reference-{number}" for number in range(count)],
            "prompt": [story.question for story in solved],
            "response": [story.solution for story in solved],
        }
    )
    own = f"reference-{seed}-{count}"
    job = TrainingJob(
        training_id=own,
        snapshot_id=own,
        snapshot=own,
        base_checkpoint="base",
        base=str(tutor.READER),
        output=str(_beside(lake) / own),
        seed=seed,
        hyperparameters=recipe.training,
    )
    result = fit(job, examples)
    base, final = _final(lake, tutor.READER), _final(lake, Path(result.checkpoint))
    row = _row("reference", seed, "once", final, base)
    return row | {"gate": "-", "verdict": "", "trained on": count, "seconds": result.seconds}


def _final(lake: str, folder: Path) -> Final:
    """A checkpoint's greedy answers on the final suite, measured once."""
    file = _beside(lake) / f"{weights_hash(folder)}.json"
    if file.exists():
        return Final(**json.loads(file.read_text("utf-8")))
    suite = final_suite()
    with EmbeddedEngine(folder) as engine:
        settings = greedy(Evaluation(max_tokens=LONGEST))
        answers = engine.generate([story.question for story in suite], settings, range(len(suite)))
    judged = pl.DataFrame(
        {
            "prompt_id": [story.question for story in suite],
            "problem": [story.problem for story in suite],
            "steps": [story.difficulty for story in suite],
            "token_count": [answer.token_count for (answer,) in answers],
            "outcome": [
                verify(answer.text, str(story.answer)).outcome
                for (answer,), story in zip(answers, suite, strict=True)
            ],
        }
    )
    accuracy, _ = greedy_metrics(judged)
    by_steps = {
        str(steps): float((part["outcome"] == "pass").mean() or 0.0)
        for (steps,), part in sorted(judged.group_by("steps"), key=lambda pair: pair[0])
    }
    values: dict[str, Any] = {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
    values |= {"by_steps": by_steps}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(values), "utf-8")
    partial.rename(file)
    return Final(**values)


def _beside(lake: str) -> Path:
    """What belongs to the experiment and not to its lake."""
    return Path(f"{lake}-final")


@cache
def final_suite() -> list[Story]:
    """1,500 held-out stories, as many of 1, 2 and 3 steps, no problem told twice."""
    suite: list[Story] = []
    for steps in (1, 2, 3):
        problems: dict[str, Story] = {}
        for story in stories(LOCKED, 3 * PROBLEMS, "held-out", (steps,)):
            problems.setdefault(story.problem, story)
        suite += list(problems.values())[: PROBLEMS // 3]
    assert len({story.problem for story in suite}) == len(suite) == PROBLEMS
    return suite


def plot_climb(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """Accuracy on the final suite by round: the loop, the same without its filter, reference solutions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.8, 4.0), dpi=150)
    styles = {"rft": "-", "no filter": "--", "reference": ":"}
    for seed, color in zip(sorted({row["seed"] for row in rows}), _COLORS, strict=False):
        for arm, style in styles.items():
            own = [row for row in rows if row["seed"] == seed and row["arm"] == arm]
            values = [100 * row["accuracy"] for row in own]
            label = f"{arm}, seed {seed}"
            if arm == "reference":
                axes.axhline(values[0], linestyle=style, color=color, label=label)
                continue
            spread = [
                [100 * (row["accuracy"] - row["low"]) for row in own],
                [100 * (row["high"] - row["accuracy"]) for row in own],
            ]
            axes.errorbar(
                range(len(own)),
                values,
                spread if arm == "rft" else None,
                linestyle=style,
                marker="o",
                markersize=3,
                capsize=2,
                color=color,
                label=label,
            )
    names = list(dict.fromkeys(row["round"] for row in rows if row["arm"] == "rft"))
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("champion after round")
    axes.set_ylabel("final suite, greedy, %")
    axes.set_ylim(0, 100)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=7, ncol=3, loc="upper center")
    axes.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)
