"""Measures of one checkpoint on the held-out prompts, as rows of the log, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from schemas.identity import evaluation_id
from schemas.ids import Part, digest
from schemas.recipes.shared import Evaluation, Sampling
from schemas.tables import EVALUATIONS
from tasks.evaluate.passk import design_effect, majority_vote, mean_interval, pass_at_k, wilson_interval
from tasks.verify.verifier import Verifier


@dataclass(frozen=True)
class Metric:
    """One number with its 95% confidence interval, over `n` prompts."""

    name: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None


def suite_id(
    prompts: pl.DataFrame, verifier: Verifier, evaluation: Evaluation, further: Sequence[Part] = ()
) -> str:
    """12 hex digits over what a measure depends on besides the checkpoint; equal suites compare.

    `further` are the recipe's other values that decide answers, where they are not the default.
    """
    settings = evaluation.model_dump_json()
    parts = [*prompts["prompt_id"].sort(), verifier.name, verifier.version, settings, *further]
    return digest(parts)[:12]


def greedy(evaluation: Evaluation, stop: tuple[str, ...] = ()) -> Sampling:
    """One answer a prompt, the likeliest token each time, ended by the recipe's stop strings."""
    return Sampling(samples=1, temperature=0.0, max_tokens=evaluation.max_tokens, stop=stop)


def sampled(evaluation: Evaluation, stop: tuple[str, ...] = ()) -> Sampling:
    """k answers a prompt, ended likewise."""
    return Sampling(
        samples=evaluation.samples,
        temperature=evaluation.temperature,
        max_tokens=evaluation.max_tokens,
        stop=stop,
    )


def greedy_metrics(judged: pl.DataFrame) -> list[Metric]:
    """Accuracy and mean length of greedy answers (columns prompt_id, problem, outcome, token_count).

    Whatever is not a pass counts against accuracy: a timeout or an error stays in the denominator. Prompts of
    one problem are not independent measurements: the more alike their outcomes, the wider the interval.
    """
    marks, n = judged["outcome"] == "pass", judged.height
    passed = int(marks.sum())
    low, high = wilson_interval(passed, n, design_effect(marks.to_numpy(), problems_of(judged)))
    lengths = judged["token_count"].to_list()
    return [Metric("accuracy", passed / n, n, low, high), Metric("mean_tokens", sum(lengths) / n, n)]


def problems_of(prompts: pl.DataFrame) -> list[str]:
    """The problem of each prompt (columns prompt_id, problem); one without a problem is its own."""
    return prompts.select(pl.coalesce("problem", "prompt_id")).to_series().to_list()


def sampled_metrics(judged: pl.DataFrame, k: int) -> list[Metric]:
    """pass@1, pass@k and maj@k of k answers a prompt (columns prompt_id, problem, outcome, answer,
    sample_index).
    """
    by_prompt = (
        judged.sort("prompt_id", "sample_index")
        .group_by("prompt_id", maintain_order=True)
        .agg(
            (pl.col("outcome") == "pass").sum().alias("right"),
            pl.len().alias("drawn"),
            pl.col("answer"),
            pl.col("outcome"),
            pl.col("problem").first(),
        )
    )
    problems = problems_of(by_prompt)
    samples, right = by_prompt["drawn"].to_numpy(), by_prompt["right"].to_numpy()
    metrics = []
    for size in sorted({1, k}):
        per_prompt = pass_at_k(samples, right, size)
        low, high = mean_interval(per_prompt, design_effect(per_prompt, problems))
        metrics.append(Metric(f"pass@{size}", float(per_prompt.mean()), by_prompt.height, low, high))
    voted = [
        _vote_passes(answers, outcomes)
        for answers, outcomes in by_prompt.select("answer", "outcome").iter_rows()
    ]
    low, high = wilson_interval(sum(voted), len(voted), design_effect(voted, problems))
    return [*metrics, Metric(f"maj@{k}", sum(voted) / len(voted), len(voted), low, high)]


def evaluation_rows(
    metrics: list[Metric], checkpoint_id: str, suite: str, loop: str, round_number: int
) -> pl.DataFrame:
    """Rows of table `evaluations`."""
    rows = [
        {
            "evaluation_id": evaluation_id(round_number, loop, checkpoint_id, suite, metric.name),
            "checkpoint_id": checkpoint_id,
            "suite": suite,
            "metric": metric.name,
            "value": metric.value,
            "n": metric.n,
            "low": metric.low,
            "high": metric.high,
        }
        for metric in metrics
    ]
    return pl.DataFrame(rows, schema=EVALUATIONS.own_polars)


def _vote_passes(answers: list[str | None], outcomes: list[str]) -> bool:
    """Whether the answer most samples gave is right: some sample with that answer passed."""
    winner = majority_vote(answers)
    return any(
        answer == winner and outcome == "pass" for answer, outcome in zip(answers, outcomes, strict=True)
    )
