"""The constitutional RL phase on the tutor: `python -m bench.lab constitutional-rl --lake FOLDER`.

For each seed the supervised phase as it ships (the loop of `bench.lab constitutional`), then from what it
promoted one round of PPO against a preference model, as it ships and with the KL term off. Harm is the
tutor's oracle of manner, which decides nothing that is learned: on held-out red-team prompts, by kind, and on
every iteration's own answers beside the proxy that is climbed. The preference model is trained once more on
the same pairs with each label's better side taken as certain. What is done is kept in the lake: the same
command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from bench.constitutional import before_and_after, kinds
from bench.final import beside, loop_done
from bench.preferences import HELD_OUT, hard_twin, measured, row_of
from tasks.verify.manner.manner import manner_of
from warehouse.lake import Lake
from warehouse.loops import checkpoint, fold
from warehouse.query import query, read

ARMS: dict[str, dict[str, Any]] = {"PPO": {}, "PPO, no KL": {"training__policy__kl_weight": 0.0}}
"""Values other than the tutor's of each arm."""
_COLORS = {"PPO": "tab:blue", "PPO, no KL": "tab:red"}
_ITERATIONS = """
    SELECT iteration, reward, harmless, passed, audited, kl, tokens, cut_off, entropy, clip_share
    FROM policy WHERE loop = $loop AND round = 0 ORDER BY iteration"""


def constitutional_rl(lake: str, seeds: list[int], recipe: Callable[..., Any]) -> list[dict[str, Any]]:
    """Rows of four tables (key `table`): the supervised phase and each arm by seed, harm by kind,
    iterations, preference models.
    """
    rows = []
    for seed in seeds:
        supervised = recipe("constitutional", seed=seed, evaluation__sampled_count=0)
        loop = f"constitutional-{seed}"
        first = loop_done(lake, loop, 1, supervised)[0]
        rows += _arm(Lake(lake), loop, "supervised", seed, supervised, first)
        state = fold(Lake(lake), loop)
        assert state is not None
        for arm, values in ARMS.items():
            own = recipe(
                "constitutional-rl",
                seed=seed,
                evaluation__sampled_count=0,
                feedback__model=str(state.base.folder),
                **values,
            )
            loop = f"{arm.lower().replace(', ', '-').replace(' ', '-')}-{seed}"
            first = loop_done(lake, loop, 1, own, state.champion.folder)[0]
            rows += _arm(Lake(lake), loop, arm, seed, own, first)
            rows += _iterations(Lake(lake), loop, arm, seed)
        rows += _preference_models(lake, f"ppo-{seed}", seed)
    return rows


def _arm(lake: Lake, loop: str, arm: str, seed: int, own: Any, first: dict[str, Any]) -> list[dict[str, Any]]:
    """What a round came to, and its harm by kind; one row alone where it trained nothing."""
    told: dict[str, Any] = {"table": "constitutional RL", "seed": seed, "arm": arm}
    if first["challenger"] is None:
        return [{**told, "verdict": f"{first['verdict']}: {first['reason']}"}]
    by_kind = [{**row, "arm": arm} for row in kinds(lake, loop, seed)]
    return [{**told, **before_and_after(lake, loop, own, first)}, *by_kind]


def _iterations(lake: Lake, loop: str, arm: str, seed: int) -> list[dict[str, Any]]:
    rows = query(lake, _ITERATIONS, {"loop": loop}).to_dicts()
    return [{"table": "iterations", "seed": seed, "arm": arm, **row} for row in rows]


def _preference_models(lake: str, loop: str, seed: int) -> list[dict[str, Any]]:
    """The round's preference model and its twin of certain labels: against the labels, and against manner."""
    there = Lake(lake)
    trained = read(there, "trainings", {"loop": loop}).filter(state="finished", objective="reward")
    if trained.is_empty():
        return []
    (training,) = trained.to_dicts()
    (made,) = read(there, "checkpoints", {"checkpoint_id": training["checkpoint_id"]}).to_dicts()
    pairs = query(there, HELD_OUT, {"loop": loop})
    polite, rows = by_manner(pairs), []
    hard = beside(lake) / f"{loop}-hard"
    for arm, folder in (
        ("soft labels", checkpoint(there, made).folder),
        ("hard labels", _once(hard, lambda: hard_twin(there, training, hard))),
    ):
        for against, held in (("the feedback's labels", pairs), ("which answer is polite", polite)):
            if not held.is_empty():
                rows.append(row_of(arm, seed, against, measured(folder, held), ""))
    return [{"table": "preference models", **row} for row in rows]


def _once(folder: Path, train: Callable[[], Path]) -> Path:
    """The checkpoint of a training in a folder, trained where it is not there yet."""
    done = folder / "checkpoint"
    return done if (folder / "result.json").exists() else train()


def by_manner(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of which exactly one answer is polite, that one first and certain."""
    polite = {
        side: pl.Series(f"polite_{side}", [not manner_of(text) for text in pairs[side]], dtype=pl.Boolean)
        for side in ("chosen", "rejected")
    }
    told = pairs.with_columns(*polite.values()).filter(pl.col("polite_chosen") != pl.col("polite_rejected"))
    first = pl.when("polite_chosen")
    return told.with_columns(
        chosen=first.then("chosen").otherwise("rejected"),
        rejected=first.then("rejected").otherwise("chosen"),
        probability=pl.lit(1.0),
    )


def plot_rl(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """The proxy by √KL; harmless and right answers by iteration; harm by kind at each stage."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12.0, 3.6), dpi=150)
    steps = [row for row in rows if row["table"] == "iterations"]
    seeds = sorted({row["seed"] for row in steps})
    for arm, color in _COLORS.items():
        for seed in seeds:
            own = [row for row in steps if row["arm"] == arm and row["seed"] == seed]
            label = arm if seed == seeds[0] else None
            drift = [max(row["kl"] or 0.0, 0.0) ** 0.5 for row in own]
            left.plot(drift, [row["reward"] for row in own], color=color, marker=".", label=label)
            harmless = [100 * row["harmless"] for row in own]
            middle.plot([row["iteration"] for row in own], harmless, color=color, label=label)
            right_ones = [100 * row["passed"] for row in own]
            middle.plot([row["iteration"] for row in own], right_ones, color=color, linestyle="dotted")
    left.set_xlabel("√KL to the start, √nats an answer")
    left.set_ylabel("preference model's score")
    middle.set_xlabel("iteration")
    middle.set_ylabel("polite answers, and dotted right ones, %")
    by_kind = [row for row in rows if row["table"] == "by kind"]
    names = sorted({row["kind"] for row in by_kind} - {"any"})
    stages = [
        ("start", "supervised", "start", "tab:gray"),
        ("supervised", "supervised", "after", "tab:green"),
    ]
    stages += [(arm, arm, "after", color) for arm, color in _COLORS.items()]
    for place, (label, arm, when, color) in enumerate(stages):
        shares = [
            [100 * row[when] / row["answers"] for row in by_kind if (row["kind"], row["arm"]) == (name, arm)]
            for name in names
        ]
        means = [sum(own) / len(own) if own else 0.0 for own in shares]
        right.bar([n + 0.2 * place for n in range(len(names))], means, 0.19, color=color, label=label)
    right.set_xticks([n + 0.3 for n in range(len(names))], names)
    right.set_ylabel("of held-out answers, %, mean of the seeds")
    for axes in (left, middle, right):
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)
