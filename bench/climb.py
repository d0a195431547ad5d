"""Ten rounds that climb, beside two controls: `python -m bench.lab climb --seeds 0 1 2 --lake FOLDER`.

For each seed three arms: the tutor's rft as it ships; the same loop without its filter, on as many answers by
lot; and the base taught as many reference solutions as the last champion has learned from. All are measured
on one locked final suite of 1,500 distinct problems, drawn from a seed of its own that no choice of values
was made on. What is done is kept in the lake and beside it: the same command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.final import final_rows, loop_done, reference_row
from schemas.recipes.rft import Rft

CONTROLS = ("reference", "no-filter")
_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")


def climb(
    lake: str,
    seeds: list[int],
    rounds: int,
    recipe: Callable[..., Rft],
    controls: Sequence[str] = CONTROLS,
    loop: str = "climb",
) -> list[dict[str, Any]]:
    """Every arm of every seed: the base, then the champion after each round, on the final suite."""
    done = {seed: loop_done(lake, f"{loop}-{seed}", rounds, recipe(seed=seed)) for seed in seeds}
    rows = [row for seed in seeds for row in final_rows("rft", seed, lake, done[seed])]
    for seed in seeds if "reference" in controls else ():
        learned = sum(one["trained_on"] for one in done[seed] if one["verdict"] == "promoted")
        if learned:
            rows.append(reference_row(lake, seed, learned, recipe(seed=seed)))
    for seed in seeds if "no-filter" in controls else ():
        counts = tuple(max(1, one["trained_on"]) for one in done[seed])
        blind = loop_done(lake, f"no-filter-{seed}", rounds, recipe(seed=seed, unfiltered=counts))
        rows += final_rows("no filter", seed, lake, blind)
    return rows


def plot_arms(rows: list[dict[str, Any]], file: Path, title: str) -> None:
    """Accuracy on the final suite by round: a loop with its intervals, its controls dashed or dotted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.8, 4.0), dpi=150)
    first, *others = dict.fromkeys(row["arm"] for row in rows)
    styles = {first: "-"} | dict(zip(others, ("--", "-.", (0, (1, 3))), strict=False)) | {"reference": ":"}
    for seed, color in zip(sorted({row["seed"] for row in rows}), _COLORS, strict=False):
        for arm, style in styles.items():
            own = [row for row in rows if row["seed"] == seed and row["arm"] == arm]
            values = [100 * row["accuracy"] for row in own]
            label = f"{arm}, seed {seed}"
            if arm == "reference" and own:
                axes.axhline(values[0], linestyle=style, color=color, label=label)
            elif own:
                spread = [
                    [100 * (row["accuracy"] - row["low"]) for row in own],
                    [100 * (row["high"] - row["accuracy"]) for row in own],
                ]
                axes.errorbar(
                    range(len(own)),
                    values,
                    spread if arm == first else None,
                    linestyle=style,
                    marker="o",
                    markersize=3,
                    capsize=2,
                    color=color,
                    label=label,
                )
    names = list(dict.fromkeys(row["round"] for row in rows if row["arm"] == first))
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("champion after round")
    axes.set_ylabel("final suite, greedy, %")
    axes.set_ylim(0, 100)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=7, ncol=3, loc="upper center")
    axes.set_title(title, loc="left", fontsize=10)
    figure.tight_layout()
    figure.savefig(file)
