"""What a student learns of a teacher, by what it is shown: `python -m bench.lab distillation --seeds 0 1 2`.

From the tutor's reader, each arm learns the same numbers of examples of the same stories: reference
solutions; the teacher's answers, all of them or those that are verified; its explanations; and, where the
recipe is there, its distributions on its own texts or on the student's. Each size is a loop of one round, so
that the audit has its word. Measured is what the loop trained, whatever its gate said, on two suites for all
arms: the climb's locked 1,500 held-out problems, and 400 of new numbers in practice's words. Beside answers
stand form (%), style (ROUGE-L F with the teacher's own text, numbers masked), the share of wrong answers that
are the teacher's (copied, %), and the teacher's tokens for each example and each point. What is done is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

import tutor
from bench.final import LOCKED, LONGEST, beside, final_suite, loop_done, on_solutions, said_to
from flows.pages.status import interval
from flows.recipes.rooms import ROOMS
from schemas.errors import BadInput
from schemas.recipes.shared import Recipe
from tasks.audit.monitors.imitation import style
from tasks.evaluate.measure import greedy_metrics
from tasks.models.checkpoint import weights_hash
from tutor.prompts import draw_stories
from tutor.teacher_lessons import SYSTEM_MESSAGES
from tutor.world import Story, stories
from warehouse.lake import Lake
from warehouse.loops import find_checkpoint
from warehouse.query import query, read

SIZES = (200, 800)
"""Examples that each arm learns."""
NEW_NUMBERS = 400
MORE = 2.5
"""Prompts asked for each example that is to be kept by the verifier."""
CURVES = ("accuracy", "low", "high", "style", "form", "new")
"""What a row holds for the plot and the summary."""
CHEAP = {"prompts__eval_count": 200, "evaluation__sampled_count": 0}


@dataclass(frozen=True)
class Arm:
    """What students of an arm are shown: a recipe with some values, and the prompts a wanted example takes.

    `recipe` None: reference solutions. `explains`: its style is held against explanations. With several
    `iterations` a round's examples come in so many parts.
    """

    name: str
    recipe: str | None
    prompts: float = 1.0
    values: Mapping[str, Any] = field(default_factory=dict)
    explains: bool = False
    iterations: int = 1

    @property
    def is_there(self) -> bool:
        """Whether its recipe is."""
        return self.recipe is None or self.recipe in ROOMS


ON_POLICY = {
    "writer": "student",
    "training__distil__divergence": "reverse",
    "training__distil__temperature": 1.0,
    "training__distil__cross_entropy_weight": 0.0,
    "training__schedule": "constant",
}
ARMS = (
    Arm("references", None),
    Arm("outputs, unfiltered", "distillation", 1.05, {"keep": "unfiltered"}),
    Arm("outputs, verified", "distillation", MORE, {"keep": "verified"}),
    Arm("explanations", "distillation", MORE, {"mode": "explanations"}, explains=True),
    Arm("off-policy logits", "distillation-logits", 1.0, {"writer": "teacher"}),
    Arm("on-policy logits", "distillation-logits", 1.0, ON_POLICY, iterations=8),
)


def distillation(lake: str, seeds: list[int], recipe: Callable[..., Any]) -> list[dict[str, Any]]:
    """The reader and the teacher, then what each arm of each seed and size trained: a row each."""
    if not (tutor.TEACHER / "config.json").is_file():
        raise BadInput("the tutor's teacher is not built: make teacher")
    known = {"the reader": tutor.READER, "the teacher": tutor.TEACHER}
    rows = [row(name, None, 0, folder, lake, {}) for name, folder in known.items()]
    work = [(arm, seed, size) for seed in seeds for arm in ARMS for size in SIZES if arm.is_there]
    return rows + [taught(arm, seed, size, lake, recipe) for arm, seed, size in work]


def taught(arm: Arm, seed: int, size: int, lake: str, recipe: Callable[..., Any]) -> dict[str, Any]:
    """One student of an arm."""
    settings = {"seed": seed, **CHEAP, "prompts__per_round": math.ceil(size * arm.prompts), **arm.values}
    if arm.recipe is None:
        chosen = recipe("distillation", seed=seed)
        return row(arm.name, seed, size, on_references(lake, seed, size, chosen), lake, {"learned": size})
    if arm.recipe == "distillation":
        settings["examples"] = size
    elif arm.iterations > 1:
        share = math.ceil(size / arm.iterations)
        settings |= {"iterations": arm.iterations, "prompts_per_iteration": share}
    own = f"{arm.name.replace(', ', '-').replace(' ', '-')}-{size}-{seed}"
    (done,) = loop_done(lake, own, 1, recipe(arm.recipe, **settings))
    opened = Lake(lake)
    folder = find_checkpoint(opened, own, done["challenger"]["checkpoint"]).folder
    return row(arm.name, seed, size, folder, lake, told(opened, own, done), arm.explains)


def told(lake: Lake, loop: str, done: Mapping[str, Any]) -> dict[str, Any]:
    """What a loop's round cost, and what its audit says of form and substance."""
    audits = read(lake, "audits", {"loop": loop, "monitor": "imitation"})
    warned = audits.filter(pl.col("verdict") == "warn")["metric"].unique().sort().to_list()
    cost = query(
        lake, "SELECT tokens_a_kept, tokens_a_point FROM teaching WHERE loop = $loop", {"loop": loop}
    )
    costs = cost.row(0, named=True) if cost.height else {"tokens_a_kept": None, "tokens_a_point": None}
    return {
        "learned": done["trained_on"],
        "tokens": costs["tokens_a_kept"],
        "a point": costs["tokens_a_point"],
        "audit": ", ".join(warned) or "passes",
    }


def on_references(lake: str, seed: int, size: int, recipe: Recipe) -> Path:
    """The reader after one training on reference solutions to the first of the stories that the arms ask."""
    folder = beside(lake) / f"references-{size}-{seed}"
    if not (folder / "result.json").is_file():
        prompts = recipe.prompts
        source = draw_stories(seed, 0, size, prompts.difficulties, prompts.family)["source"][0]
        solved = stories(int(source.rpartition(":")[2]), size, prompts.family, prompts.difficulties)
        on_solutions(folder, seed, solved, recipe.training)
    return folder / "checkpoint"


def row(
    arm: str,
    seed: int | None,
    size: int,
    folder: Path,
    lake: str,
    more: Mapping[str, Any],
    explains: bool = False,
) -> dict[str, Any]:
    """One line of the table."""
    held_out, new = said(lake, folder, "held-out"), said(lake, folder, "new-numbers")
    theirs = said(lake, tutor.TEACHER, "held-out", explains)
    (reached, _), (numbers, _) = greedy_metrics(held_out), greedy_metrics(new)
    wrong, copied = _copied(held_out, theirs)
    styles = [style(a, b) for a, b in zip(held_out["text"], theirs["text"], strict=True)]
    by_steps = held_out.group_by("steps").agg((pl.col("outcome") == "pass").mean()).sort("steps")
    form = (held_out["finish_reason"] == "stop") & held_out["answer"].is_not_null()
    marks = {"accuracy": reached.value, "low": reached.low, "high": reached.high}
    return {
        "arm": arm,
        "seed": seed,
        "examples": size,
        "held out": interval(marks),
        "new numbers": interval({"accuracy": numbers.value, "low": numbers.low, "high": numbers.high}),
        "1, 2, 3 steps": ", ".join(f"{100 * share:.0f}" for _, share in by_steps.iter_rows()),
        "formed": f"{100 * float(form.mean() or 0.0):.1f}",
        "styled": f"{sum(styles) / len(styles):.3f}",
        "copied": "" if not wrong else f"{100 * copied / wrong:.0f}",
        "learned": None,
        "tokens": None,
        "a point": None,
        "audit": "",
        **more,
        **marks,
        "style": sum(styles) / len(styles),
        "form": float(form.mean() or 0.0),
        "new": numbers.value,
    }


def _copied(student: pl.DataFrame, teacher: pl.DataFrame) -> tuple[int, int]:
    """How many of a student's texts are wrong, without an answer too, and how many give the teacher's wrong
    answer.
    """
    wrong = student["outcome"] != "pass"
    same = wrong & (teacher["outcome"] != "pass") & (student["answer"] == teacher["answer"])
    return int(wrong.sum()), int(same.fill_null(False).sum())


def said(lake: str, folder: Path, family: str, explains: bool = False) -> pl.DataFrame:
    """A model's greedy answers to a suite, judged, in the suite's order; drawn once."""
    message = SYSTEM_MESSAGES[0] if explains else None
    file = beside(lake) / f"{weights_hash(folder)}-{family}{'-explained' if explains else ''}.parquet"
    if file.exists():
        return pl.read_parquet(file)
    suite = final_suite() if family == "held-out" else new_numbers()
    rows = said_to(folder, suite, LONGEST + 32, message)
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(file.with_suffix(".new"))
    file.with_suffix(".new").rename(file)
    return rows


def new_numbers() -> list[Story]:
    """400 stories of numbers that nobody was taught, in practice's words, no problem told twice."""
    problems: dict[str, Story] = {}
    for story in stories(LOCKED, 3 * NEW_NUMBERS, "new-numbers"):
        problems.setdefault(story.problem, story)
    return list(problems.values())[:NEW_NUMBERS]
