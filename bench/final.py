"""The lab's locked final suite: what it holds, how a checkpoint does on it, and loops as rows of a table.

It is drawn from a seed of its own, on which no choice of values was made, and serves all arms and seeds. What
was measured is kept beside the lake, by the checkpoint's weights, so that a command goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

import tutor
from flows.nightly import night
from flows.pages.status import interval, status
from schemas.errors import NightStopped
from schemas.job import Hyperparameters, TrainingJob
from schemas.recipes.asking import Asking
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Evaluation, Recipe
from tasks.evaluate.measure import greedy, greedy_metrics
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.asking import put
from tasks.models.checkpoint import weights_hash
from tasks.train.loop import fit
from tasks.train.result import TrainingResult
from tasks.verify.maths.maths import verify
from tutor.world import Story, stories
from warehouse.lake import Lake
from warehouse.loops import find_checkpoint, fold

PROBLEMS = 1500
LOCKED = 20_261_127
"""The seed of the final suite, by which no loop draws; some one-step problems are told elsewhere too."""
LONGEST = 96
"""Tokens of an answer there, as in the tutor's recipes."""
REFERENCES = 77_000_000
"""Where the seeds of the reference solutions begin."""


@dataclass(frozen=True)
class Final:
    """A checkpoint on the final suite: accuracy with its interval, and by steps."""

    accuracy: float
    low: float
    high: float
    by_steps: Mapping[str, float]


def loop_done(
    lake: str, loop: str, rounds: int, recipe: Recipe, model: Path | None = None
) -> list[dict[str, Any]]:
    """The rounds of a loop: those that the lake holds, and those that it lacks yet; fewer where one stopped
    the night. `model` is the folder that it begins from, where that is not the recipe's own.
    """
    there = Lake(lake) if Lake.check(lake) else None
    state = fold(there, loop) if there else None
    if there and state and state.next_round >= rounds:
        return status(there, loop)[:rounds]
    done = state.next_round if state and not state.unfinished else 0
    try:
        return night(recipe, loop, rounds - done, lake, str(model) if model and state is None else None)
    except NightStopped:
        return status(Lake(lake), loop)


def final_rows(arm: str, seed: int, lake: str, done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The base and the champion after each round, on the final suite."""
    opened, loop = Lake(lake), done[0]["loop"]
    rows = [{"round": "base", "checkpoint": done[0]["champion"], "verdict": ""}]
    for one in done:
        champion = one["challenger"] if one["verdict"] == "promoted" else one["champion"]
        rows.append(_costs(one) | {"checkpoint": champion, "verdict": one["verdict"]})
    measured = [
        on_final(lake, find_checkpoint(opened, loop, row["checkpoint"]["checkpoint"]).folder) for row in rows
    ]
    return [
        final_row(arm, seed, row["round"], its, measured[0])
        | {"gate": interval(row["checkpoint"]), "verdict": row["verdict"]}
        | {name: row.get(name) for name in ("trained on", "seconds")}
        for row, its in zip(rows, measured, strict=True)
    ]


def _costs(one: dict[str, Any]) -> dict[str, Any]:
    """A round's number, examples and seconds."""
    seconds = one["seconds"].get("total")
    return {"round": str(one["round"]), "trained on": one["trained_on"], "seconds": seconds}


def final_row(arm: str, seed: int, name: str, reached: Final, base: Final) -> dict[str, Any]:
    """One line: accuracy in percent with its interval, times the base, and by steps."""
    marks = {"accuracy": reached.accuracy, "low": reached.low, "high": reached.high}
    return {
        "arm": arm,
        "seed": seed,
        "round": name,
        "final": interval(marks),
        "times the base": reached.accuracy / base.accuracy if base.accuracy else None,
        **{f"{steps} steps": f"{100 * share:.1f}" for steps, share in reached.by_steps.items()},
        **marks,
    }


def reference_row(lake: str, seed: int, count: int, recipe: Rft) -> dict[str, Any]:
    """The base after one training on so many reference solutions to stories of the same kind."""
    solved = stories(REFERENCES + seed, count, recipe.prompts.family, recipe.prompts.difficulties)
    result = on_solutions(beside(lake) / f"reference-{seed}-{count}", seed, solved, recipe.training)
    base, reached = on_final(lake, tutor.READER), on_final(lake, Path(result.checkpoint))
    row = final_row("reference", seed, "once", reached, base)
    return row | {"gate": "-", "verdict": "", "trained on": count, "seconds": result.seconds}


def on_solutions(folder: Path, seed: int, solved: Sequence[Story], how: Hyperparameters) -> TrainingResult:
    """The tutor's reader after one training on reference solutions, in a folder of their own."""
    examples = pl.DataFrame(
        {
            "example_id": [f"reference-{number}" for number in range(len(solved))],
            "prompt": [story.question for story in solved],
            "response": [story.solution for story in solved],
        }
    )
    job = TrainingJob(
        training_id=folder.name,
        snapshot_id=folder.name,
        snapshot=folder.name,
        base_checkpoint="base",
        base=str(tutor.READER),
        output=str(folder),
        seed=seed,
        hyperparameters=how,
    )
    return fit(job, examples)


def on_final(lake: str, folder: Path) -> Final:
    """A checkpoint's greedy answers on the final suite, measured once."""
    file = beside(lake) / f"{weights_hash(folder)}.json"
    if file.exists():
        return Final(**json.loads(file.read_text("utf-8")))
    judged = said_to(folder, final_suite(), LONGEST)
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


def said_to(folder: Path, suite: Sequence[Story], longest: int, system: str | None = None) -> pl.DataFrame:
    """A checkpoint's greedy answers to stories, judged, in the suite's order; `longest` in tokens."""
    with EmbeddedEngine(folder) as engine:
        asked = [put(story.question, Asking(system=system)) for story in suite]
        settings = greedy(Evaluation(max_tokens=longest))
        answers = [one for (one,) in engine.generate(asked, settings, range(len(suite)))]
    verdicts = [verify(one.text, str(story.answer)) for one, story in zip(answers, suite, strict=True)]
    return pl.DataFrame(
        {
            "prompt_id": [story.question for story in suite],
            "problem": [story.problem for story in suite],
            "steps": [story.difficulty for story in suite],
            "token_count": [one.token_count for one in answers],
            "finish_reason": [one.finish_reason for one in answers],
            "text": [one.text for one in answers],
            "outcome": [one.outcome for one in verdicts],
            "answer": [one.answer for one in verdicts],
        },
        schema_overrides={"answer": pl.String},
    )


def beside(lake: str) -> Path:
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
