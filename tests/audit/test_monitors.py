"""Promises of the monitors: each fires on sabotage, and stays quiet while answers stay varied."""

from __future__ import annotations

import random
from collections.abc import Callable

import polars as pl
import pytest

from tasks.audit.monitors import coverage, drift, narrowing
from tasks.audit.monitors.drift import jensen_shannon
from tasks.audit.monitors.narrowing import compression_ratio, distinct_ngrams, distinct_paths
from tasks.audit.reading import Answers, Reading, audit_rows
from tutor.world import stories
from tutor.writers import write


def answers(round_number: int, seed: int) -> Answers:
    """400 stories with two written solutions each, as a round's answers."""
    rng = random.Random(seed)
    rows = []
    for number, story in enumerate(stories(seed, 400)):
        for index in range(2):
            text, _ = write(story, rng)
            right = text.endswith(f"#### {story.answer}")
            path = [part.split(">>")[0] for part in text.split("<<")[1:]]
            rows.append(
                {
                    "candidate_id": f"{round_number}-{number}-{index}",
                    "prompt_id": f"{round_number}-{number}",
                    "sample_index": index,
                    "topic": story.topic,
                    "text": text,
                    "token_count": len(text.split()) * 2,
                    "outcome": "pass" if right else "fail",
                    "path": path,
                    "holds": True,
                    "accepted": right,
                }
            )
    return Answers(round_number, pl.DataFrame(rows))


def sabotaged(healthy: Answers, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Answers:
    return Answers(1, change(healthy.frame))


def verdicts(readings: list[Reading]) -> dict[str, str]:
    """The worst verdict by metric."""
    order = ["pass", "warn", "stop"]
    worst: dict[str, str] = {}
    for reading in readings:
        before = worst.get(reading.metric, "pass")
        worst[reading.metric] = max(before, reading.verdict, key=order.index)
    return worst


@pytest.mark.parametrize("monitor", [narrowing, drift, coverage])
def test_a_healthy_loop_makes_no_monitor_speak(monitor) -> None:  # type: ignore[no-untyped-def]
    for seed in range(3):
        then, now = answers(0, seed), answers(1, seed + 100)
        assert set(verdicts(monitor.readings(now, [then])).values()) == {"pass"}


def test_one_answer_to_everything_stops_narrowing_and_drift() -> None:
    then = answers(0, 1)
    constant = pl.lit("The answer is 7. #### 7").alias("text")
    one_path = pl.lit([], dtype=pl.List(pl.String)).alias("path")
    now = sabotaged(
        answers(1, 2),
        lambda f: f.with_columns(constant, one_path, outcome=pl.lit("fail"), token_count=pl.lit(8)),
    )
    assert verdicts(narrowing.readings(now, [then]))["distinct_paths"] == "stop"
    assert verdicts(narrowing.readings(now, [then]))["compression_ratio"] == "stop"
    assert verdicts(narrowing.readings(now, [then]))["distinct_2grams"] == "stop"
    moved = verdicts(drift.readings(now, [then]))
    assert (moved["format_js"], moved["length_js"]) == ("stop", "warn"), "answers were as short before, some"


def test_another_answer_format_is_drift() -> None:
    then = answers(0, 1)
    boxed = pl.col("text").str.replace(r"#### (\d+)$", r"\boxed{$1}")
    now = sabotaged(answers(1, 2), lambda f: f.with_columns(boxed))
    readings_by_metric = verdicts(drift.readings(now, [then]))
    assert readings_by_metric["format_js"] == "stop"
    assert readings_by_metric["length_js"] == "pass"


def test_longer_answers_are_drift() -> None:
    for times, verdict in ((1, "pass"), (3, "warn"), (20, "stop")):
        now = sabotaged(answers(1, 2), lambda f, times=times: f.with_columns(pl.col("token_count") * times))
        assert verdicts(drift.readings(now, [answers(0, 1)]))["length_js"] == verdict, times


def test_a_topic_that_vanishes_is_named() -> None:
    lost = pl.col("topic") != "doubling"
    now = sabotaged(answers(1, 2), lambda f: f.with_columns(accepted=pl.col("accepted") & lost))
    warned = [r for r in coverage.readings(now, [answers(0, 1)]) if r.verdict == "warn"]
    assert [(r.metric, r.subject, r.against) for r in warned] == [("coverage", "doubling", "round 0")]


def test_half_as_many_paths_warn() -> None:
    keep = pl.int_range(pl.len()) % 5 < 2
    now = sabotaged(
        answers(1, 2),
        lambda f: f.with_columns(outcome=pl.when(keep).then("outcome").otherwise(pl.lit("fail"))),
    )
    assert verdicts(narrowing.readings(now, [answers(0, 1)]))["distinct_paths"] == "warn"


def test_jensen_shannon_is_zero_for_equals_one_for_strangers_and_symmetric() -> None:
    left, right = {"a": 3, "b": 1}, {"a": 1, "b": 3}
    assert jensen_shannon(left, {"a": 6, "b": 2}) == pytest.approx(0.0)
    assert jensen_shannon({"a": 1}, {"b": 5}) == pytest.approx(1.0)
    assert jensen_shannon(left, right) == pytest.approx(jensen_shannon(right, left))
    assert jensen_shannon(left, right) == pytest.approx(0.188722, abs=1e-6)  # 1 - H(1/4), as it is defined


def test_distinct_ngrams_do_not_cross_answers() -> None:
    assert distinct_ngrams(["a b", "c d"], 2) == 1.0
    assert distinct_ngrams(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct_ngrams(["a a a a"], 1) == 0.25
    assert distinct_ngrams(["a"], 2) == 0.0


def test_repetition_raises_the_compression_ratio() -> None:
    assert compression_ratio(["abc"] * 500) > 10 * compression_ratio(["abc"])


def test_distinct_paths_count_right_answers_over_all_questions() -> None:
    frame = pl.DataFrame(
        {
            "prompt_id": ["p", "p", "p", "q", "r"],
            "outcome": ["pass", "pass", "pass", "fail", "pass"],
            "holds": [True, True, True, True, False],
            "path": [["1+1=2"], ["1+1=2"], ["2*1=2"], ["1"], ["2"]],
        }
    )
    assert distinct_paths(frame) == pytest.approx(2 / 3)


def test_readings_become_rows_with_ids_of_their_own() -> None:
    readings = narrowing.readings(answers(2, 1), [answers(0, 2), answers(1, 3)])
    rows = audit_rows(readings, "loop", 2)
    assert rows.height == len(readings)
    assert rows["audit_id"].n_unique() == rows.height
