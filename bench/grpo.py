"""GRPO against RFT at equal numbers of samples: `python -m bench.lab grpo --seeds 0 1 2 --lake FOLDER`.

From the tutor's reader, each arm draws 7,680 answers: the tutor's grpo as it ships (30 iterations of 32
prompts, 8 answers each), its rft in two rounds of 960 prompts at 4 answers, and in one round at 8. What each
ends with is measured on the locked final suite of the climb: greedy answers to all 1,500 problems, and 16
sampled answers to 300 of them, for pass@k and for distinct right paths a question. What is done is kept in
the lake and beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import tutor
from bench.final import LONGEST, beside, final_suite, loop_done, on_final
from flows.pages.status import interval
from schemas.recipes.shared import Sampling
from tasks.evaluate.passk import mean_interval, pass_at_k
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.checkpoint import weights_hash
from tasks.verify.maths.maths import verify
from warehouse.lake import Lake
from warehouse.loops import find_checkpoint
from warehouse.query import query

SAMPLED, SAMPLES = 300, 16
KS = (1, 2, 4, 8, 16)
CURVES = ("pass", "iterations")
"""What a row holds for the plot alone."""
ARMS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "grpo": ("grpo", 1, {}),
    "rft, 2 rounds of k = 4": ("rft", 2, {"prompts__per_round": 960, "sampling__samples": 4}),
    "rft, 1 round of k = 8": ("rft", 1, {"prompts__per_round": 960, "sampling__samples": 8}),
}
"""Recipe, rounds, and values other than the tutor's, of each arm."""
CHEAP = {"prompts__eval_count": 600, "evaluation__sampled_count": 0}


def grpo(lake: str, seeds: list[int], recipe: Callable[..., Any]) -> list[dict[str, Any]]:
    """The base, then what each arm of each seed ends with: a row each."""
    rows = [_row("base", None, tutor.READER, lake, {})]
    for arm, (name, rounds, values) in ARMS.items():
        for seed in seeds:
            own = recipe(name, seed=seed, **CHEAP, **values)
            done = loop_done(lake, f"{name}-{rounds}-{seed}", rounds, own)
            rows.append(_ended(arm, seed, lake, done))
    return rows


def _ended(arm: str, seed: int, lake: str, done: list[dict[str, Any]]) -> dict[str, Any]:
    """What a loop ends with: its champion after the last round."""
    opened, last = Lake(lake), done[-1]
    ends = last["challenger"] if last["verdict"] == "promoted" else last["champion"]
    told = {
        "samples": sum(one["candidates"] for one in done),
        "trained on": sum(one["trained_on"] or 0 for one in done),
        "verdict": last["verdict"],
        "seconds": sum(one["seconds"]["total"] for one in done),
        "iterations": _iterations(opened, last["loop"]),
    }
    folder = find_checkpoint(opened, last["loop"], ends["checkpoint"]).folder
    return _row(arm, seed, folder, lake, told)


def _iterations(lake: Lake, loop: str) -> list[dict[str, Any]]:
    """View `policy` of a loop, for the curves."""
    return query(lake, "FROM policy WHERE loop = $loop", {"loop": loop}).to_dicts()


def _row(arm: str, seed: int | None, folder: Path, lake: str, told: dict[str, Any]) -> dict[str, Any]:
    """One line of the table."""
    greedy, drawn = on_final(lake, folder), sampled(lake, folder)
    marks = {"accuracy": greedy.accuracy, "low": greedy.low, "high": greedy.high}
    return {
        "arm": arm,
        "seed": seed,
        "final": interval(marks),
        **{f"pass@{k}": f"{100 * drawn['pass'][str(k)][0]:.1f}" for k in (1, 8)},
        "paths a question": round(drawn["paths"], 2),
        "tokens": round(drawn["tokens"], 1),
        **{name: told.get(name) for name in ("samples", "trained on", "verdict", "seconds")},
        **marks,
        "pass": drawn["pass"],
        "iterations": told.get("iterations", []),
    }


def sampled(lake: str, folder: Path) -> dict[str, Any]:
    """A checkpoint's 16 answers at temperature 1 to every fifth problem of the final suite, measured once:
    pass@k with its interval, distinct right paths a question, mean tokens.
    """
    file = beside(lake) / f"{weights_hash(folder)}-sampled.json"
    if file.exists():
        return dict(json.loads(file.read_text("utf-8")))
    stories = final_suite()[:: len(final_suite()) // SAMPLED]
    how = Sampling(samples=SAMPLES, temperature=1.0, max_tokens=LONGEST)
    with EmbeddedEngine(folder) as engine:
        seeds = [1_000 * place for place in range(len(stories))]
        answers = engine.generate([story.question for story in stories], how, seeds)
    right, paths = [], []
    for story, samples in zip(stories, answers, strict=True):
        verdicts = [verify(sample.text, str(story.answer)) for sample in samples]
        passed = [verdict for verdict in verdicts if verdict.outcome == "pass"]
        right.append(len(passed))
        paths.append(len({verdict.equations for verdict in passed if 0.0 not in verdict.steps}))
    counts = [SAMPLES] * len(stories)
    shares = {k: pass_at_k(counts, right, k) for k in KS}
    values = {
        "pass": {str(k): [float(one.mean()), *mean_interval(one)] for k, one in shares.items()},
        "paths": sum(paths) / len(paths),
        "tokens": float(pl.Series([s.token_count for some in answers for s in some]).mean() or 0.0),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(values), "utf-8")
    partial.rename(file)
    return values


def plot_grpo(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """Left: pass@k of each arm, a line a seed. Right: GRPO's reward, audit score and drift by iteration."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 3.8), dpi=150)
    colors = dict(zip(("base", *ARMS), ("tab:gray", "tab:blue", "tab:green", "tab:orange"), strict=True))
    for row in rows:
        values = [100 * row["pass"][str(k)][0] for k in KS]
        first = row["seed"] in (None, rows[1]["seed"])
        left.plot(
            KS,
            values,
            marker="o",
            markersize=3,
            color=colors[row["arm"]],
            label=row["arm"] if first else None,
        )
    left.set_xscale("log", base=2)
    left.set_xticks(KS, [str(k) for k in KS])
    left.set_xlabel("k")
    left.set_ylabel("pass@k, final suite, %")
    left.set_ylim(0, 100)
    left.legend(frameon=False, fontsize=8)
    curves = {"reward": "tab:orange", "audited": "tab:purple", "no_signal": "tab:gray"}
    for row in (one for one in rows if one["iterations"]):
        numbers = [one["iteration"] for one in row["iterations"]]
        for name, color in curves.items():
            values = [one[name] for one in row["iterations"]]
            label = name.replace("_", " ") if row["seed"] == rows[1]["seed"] else None
            right.plot(numbers, values, color=color, linewidth=1, label=label)
    drift = right.twinx()
    for row in (one for one in rows if one["iterations"]):
        drift.plot(
            [one["iteration"] for one in row["iterations"]],
            [one["sqrt_kl"] for one in row["iterations"]],
            ":",
            color="tab:red",
        )
    drift.set_ylabel("√KL to the start (dotted), √nats an answer")
    right.set_xlabel("iteration")
    right.set_ylabel("share of answers, of prompts")
    right.set_ylim(0, 1)
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)
