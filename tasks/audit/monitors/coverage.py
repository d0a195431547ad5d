"""Coverage: which topics still yield accepted answers?

Acceptance is the share of a topic's answers that the last filter kept, coverage the share of its
prompts with at least one. A topic that loses most of its coverage is about to vanish from training.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.audit.reading import Answers, MonitorVerdict, Reading

MONITOR = "coverage"
FEWEST = 20  # prompts a topic needs in both rounds before it can warn
WARN = 0.5  # share of the baseline's coverage


def readings(now: Answers, baselines: Sequence[Answers]) -> list[Reading]:
    """Acceptance and coverage, of the round and by topic; coverage by topic against each baseline."""
    result = [Reading(MONITOR, "pass_rate", _share(now.frame, pl.col("outcome") == "pass"))]
    result.append(Reading(MONITOR, "acceptance", _share(now.frame, pl.col("accepted"))))
    result.append(Reading(MONITOR, "coverage", _covered(now.frame)))
    topics = by_topic(now.frame)
    for row in topics.iter_rows(named=True):
        result.append(Reading(MONITOR, "acceptance", row["acceptance"], row["topic"]))
        for then in baselines:
            result += _against_baseline(row, then)
        if not baselines:
            result.append(Reading(MONITOR, "coverage", row["coverage"], row["topic"]))
    return result


def by_topic(frame: pl.DataFrame) -> pl.DataFrame:
    """topic, prompts, acceptance and coverage of every named topic."""
    prompts = frame.drop_nulls("topic").group_by("topic", "prompt_id")
    by_prompt = prompts.agg(
        pl.col("accepted").any().alias("covered"), pl.col("accepted").mean().alias("share")
    )
    return (
        by_prompt.group_by("topic")
        .agg(
            pl.len().alias("prompts"),
            pl.col("share").mean().alias("acceptance"),
            pl.col("covered").mean().alias("coverage"),
        )
        .sort("topic")
    )


def _against_baseline(row: dict[str, object], then: Answers) -> list[Reading]:
    before = by_topic(then.frame).filter(pl.col("topic") == row["topic"]).to_dicts()
    if not before:
        return []
    baseline, value = float(before[0]["coverage"]), row["coverage"]
    assert isinstance(value, float)
    enough = min(int(before[0]["prompts"]), int(str(row["prompts"]))) >= FEWEST
    verdict: MonitorVerdict = "warn" if enough and value < WARN * baseline else "pass"
    against = f"round {then.round}"
    topic = str(row["topic"])
    return [Reading(MONITOR, "coverage", value, topic, baseline, against, WARN * baseline, verdict)]


def _share(frame: pl.DataFrame, condition: pl.Expr) -> float | None:
    return float(frame.select(condition.mean()).item()) if frame.height else None


def _covered(frame: pl.DataFrame) -> float | None:
    prompts = frame.group_by("prompt_id").agg(pl.col("accepted").any())
    return _share(prompts, pl.col("accepted"))
