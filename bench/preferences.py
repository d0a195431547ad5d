"""Preference models on the tutor: people's pairs (HH-RLHF) end to end, and soft labels against hard ones.

People's pairs: one round of recipe `preference-model` over the file as it is, from the tutor's base. Labels:
one round on pairs of the tutor's own answers that its judge compares, its own chances as labels, then a
second training on the same frozen pairs with each label's better side taken as certain; both are measured on
the same held-out pairs, against the judge's labels and against which answer is right (an oracle that decided
nothing).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from flows.nightly import night
from flows.steps.measure_pairs import problems_of
from schemas.job import Hyperparameters, Reward, TrainingJob
from tasks.evaluate.measure import Metric
from tasks.evaluate.preferences import pair_metrics
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.turns import answer_tokens
from tasks.train.loop import train
from tasks.verify.maths.maths import verify
from tasks.verify.reward import rewards
from warehouse.lake import Lake
from warehouse.loops import checkpoint
from warehouse.query import query, read

PEOPLE = Path(os.environ.get("RATCHET_TEST_DATA", "../shared/data")) / "hh-rlhf/harmless-base/test.jsonl.gz"
Recipes = Callable[..., Any]
SHOWN = ("accuracy", "loss", "ece", "brier", "margin by length, r")
HELD_OUT = """
    SELECT l.preference_id, l.probability, p.text AS prompt, p.messages, p.problem, p.reference,
           c.text AS chosen, r.text AS rejected
    FROM labelled_pairs AS l
    JOIN prompts AS p
      ON p.loop = l.loop AND p.prompt_id = l.prompt_id AND p.split IN ('eval', 'red-team-eval')
    JOIN candidates AS c ON c.candidate_id = l.chosen_id
    JOIN candidates AS r ON r.candidate_id = l.rejected_id
    WHERE l.loop = $loop AND c.loop = $loop AND r.loop = $loop AND l.probability > 0.5 ORDER BY 1"""


def preferences(lake: str, seeds: list[int], recipe: Recipes, people: Path = PEOPLE) -> list[dict[str, Any]]:
    """Rows by experiment, seed and arm: the measures on held-out pairs, each with its interval."""
    rows = []
    for seed in seeds:
        if people.is_file():
            rows += _of_people(lake, seed, recipe, people)
    for seed in seeds:
        rows += _of_labels(lake, seed, recipe)
    return rows


def _of_people(lake: str, seed: int, recipe: Recipes, people: Path) -> list[dict[str, Any]]:
    loop = f"people-{seed}"
    settings: dict[str, Any] = {
        "prompts__path": str(people),
        "prompts__per_round": None,
        "prompts__eval_count": 450,
        "feedback__share": 0.0,
        "sampling__max_tokens": 1,
        "evaluation__max_tokens": 1,
        "training__max_tokens": 1024,
        "training__micro_batch_size": 4,
        "training__epochs": 1,
        "training__learning_rate": 3e-4,
    }
    (one,) = night(recipe("preference-model", seed=seed, **settings), loop, 1, lake)
    trained = int(
        query(Lake(lake), "SELECT sum(rows) AS n FROM snapshots WHERE loop = $l", {"l": loop})["n"][0]
    )
    splits = query(Lake(lake), _COUNTS, {"loop": loop})
    counts = ", ".join(f"{n:,} {what}" for what, n in splits.iter_rows())
    told = read(Lake(lake), "evaluations", {"loop": loop}).to_dicts()
    metrics = [Metric(row["metric"], row["value"], row["n"], row["low"], row["high"]) for row in told]
    return [row_of("people's pairs", seed, f"trained on {trained:,}; {counts}", metrics, one["verdict"])]


_COUNTS = """
    SELECT CASE WHEN refusal IS NULL THEN split ELSE refusal END AS what, count(*) AS n FROM prompts
    WHERE loop = $loop GROUP BY ALL ORDER BY ALL"""


def _of_labels(lake: str, seed: int, recipe: Recipes) -> list[dict[str, Any]]:
    loop = f"labels-{seed}"
    settings = {
        "prompts__per_round": 800,
        "prompts__eval_count": 600,
        "feedback__logits": True,
        "feedback__clamp": None,
    }
    (one,) = night(recipe("preference-model", seed=seed, training__epochs=2, **settings), loop, 1, lake)
    there = Lake(lake)
    pairs = query(there, HELD_OUT, {"loop": loop})
    (training,) = read(there, "trainings", {"loop": loop}).filter(state="finished").to_dicts()
    soft = there.root / "trainings" / training["training_id"] / "checkpoint"
    rows = []
    for arm, folder in (
        ("soft labels", soft),
        ("hard labels", hard_twin(there, training, Path(lake).parent / loop)),
    ):
        verdict = one["verdict"] if arm == "soft labels" else ""
        rows.append(row_of(arm, seed, "the judge's labels", measured(folder, pairs), verdict))
        rows.append(row_of(arm, seed, "which answer is right", measured(folder, _by_oracle(pairs)), ""))
    judge = _by_oracle(pairs).filter(pl.col("sure"))
    agrees = judge.with_columns(margin=pl.when("agrees").then(1.0).otherwise(-1.0), longer=pl.lit(0))
    rows.append(
        row_of(
            "the judge itself",
            seed,
            "which answer is right",
            pair_metrics(agrees, problems_of(judge))[:1],
            "",
        )
    )
    return rows


def hard_twin(lake: Lake, training: dict[str, Any], output: Path) -> Path:
    """The same training with certain labels; its checkpoint."""
    snapshot = read(lake, "snapshots", {"snapshot_id": training["snapshot_id"]}).row(0, named=True)
    base = read(lake, "checkpoints", {"checkpoint_id": training["base_checkpoint_id"]}).row(0, named=True)
    hyper = Hyperparameters.model_validate_json(training["hyperparameters"])
    job = TrainingJob(
        training_id=f"{training['training_id']}-hard",
        objective="reward",
        snapshot_id=snapshot["snapshot_id"],
        snapshot=str(lake.place(snapshot["path"])),
        base_checkpoint=base["checkpoint_id"],
        base=str(checkpoint(lake, base).folder),
        output=str(output),
        seed=training["seed"],
        hyperparameters=hyper.model_copy(update={"reward": Reward(labels="hard")}),
    )
    return train(job).checkpoint


def _by_oracle(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of which exactly one answer is right, that one first; `agrees`: the label said so too."""
    right = [
        [
            verify(text, reference).outcome == "pass"
            for text, reference in pairs.select(side, "reference").iter_rows()
        ]
        for side in ("chosen", "rejected")
    ]
    marked = pairs.with_columns(pl.Series("first", right[0]), pl.Series("second", right[1]))
    told = marked.filter(pl.col("first") != pl.col("second")).with_columns(agrees="first", sure=pl.lit(True))
    chosen = pl.when("first").then("chosen").otherwise("rejected")
    rejected = pl.when("first").then("rejected").otherwise("chosen")
    return told.with_columns(chosen=chosen, rejected=rejected, probability=pl.lit(1.0))


def measured(folder: Path, pairs: pl.DataFrame) -> list[Metric]:
    """A preference model's measures on pairs, columns as `HELD_OUT` has them."""
    prompts, tokenizer = prompts_of(pairs, "prompt"), load_tokenizer(folder)
    scores = [pl.Series(rewards(folder, prompts, pairs[side].to_list())) for side in ("chosen", "rejected")]
    lengths = [
        pl.Series([len(one) for one in answer_tokens(tokenizer, pairs[side].to_list())])
        for side in ("chosen", "rejected")
    ]
    frame = pairs.with_columns(
        (scores[0] - scores[1]).fill_null(0.0).alias("margin"), (lengths[0] - lengths[1]).alias("longer")
    )
    return pair_metrics(frame, problems_of(pairs))


def row_of(arm: str, seed: int, against: str, metrics: list[Metric], verdict: str) -> dict[str, Any]:
    """One line: an arm's measures against labels of a kind."""
    named = {one.name: one for one in metrics}
    row: dict[str, Any] = {"arm": arm, "seed": seed, "against": against, "pairs": named["accuracy"].n}
    row |= {name: _text(named.get(name)) for name in SHOWN}
    return row | {"verdict": verdict, "all": json.dumps([vars_of(one) for one in metrics])}


def vars_of(metric: Metric) -> dict[str, Any]:
    """A metric as plain values."""
    return {
        "metric": metric.name,
        "value": metric.value,
        "n": metric.n,
        "low": metric.low,
        "high": metric.high,
    }


def _text(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    times, digits = (100, 1) if metric.name == "accuracy" else (1, 3)
    shown = f"{times * metric.value:.{digits}f}"
    if metric.low is None or metric.high is None:
        return shown
    return f"{shown} [{times * metric.low:.{digits}f}, {times * metric.high:.{digits}f}]"
