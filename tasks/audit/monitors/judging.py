"""Judging: does a model that rewards itself still tell right from wrong, and what do its rewards go by?

By topic and for the whole round: agreement of the judge with the auditor, rewards and lengths of chosen and
rejected answers, and the share of prompts without a pair for a tie (Yuan et al. 2024, arXiv 2401.10020, saw
answers grow from 1,092 to 2,552 characters over three rounds). Read from two views, `judge_agreement` and
`rewards`.
"""

from __future__ import annotations

from typing import Any

from tasks.audit.reading import MonitorVerdict, Reading
from warehouse.lake import Lake, Where
from warehouse.query import query

MONITOR = "judging"
WARN = 0.1  # agreement lost since a baseline: a judge that forgets, see docs/lab.md
EARLIEST = 4  # rounds that are looked through for the first with rewards: an SFT start has none
FEWEST = 100  # answers with a verdict by both that agreement needs before it can warn

_AGREEMENT = """
    SELECT topic, answers - no_verdict AS n, agreement FROM judge_agreement
    WHERE loop = $loop AND round = $round ORDER BY topic"""
_REWARDS = """
    SELECT topic, prompts, pairs, ties + near_ties AS tie_share, chosen_reward, rejected_reward,
           chosen_tokens, rejected_tokens
    FROM rewards WHERE loop = $loop AND round = $round ORDER BY topic"""
_OF_PAIRS = ("chosen_reward", "rejected_reward", "chosen_tokens", "rejected_tokens")


def readings(lake: Lake, loop: str, number: int) -> list[Reading]:
    """This round's readings, none without rewards; agreement is compared with the first and last round."""
    result = _agreement(lake, loop, number)
    rows = _rows(lake, _REWARDS, loop, number)
    for row in rows:
        result += [Reading(MONITOR, name, row[name], row["topic"]) for name in ("tie_share", *_OF_PAIRS)]
    if rows:
        result.append(Reading(MONITOR, "tie_share", _mean(rows, "tie_share", "prompts")))
        result += [Reading(MONITOR, name, _mean(rows, name, "pairs")) for name in _OF_PAIRS]
    return result


def _agreement(lake: Lake, loop: str, number: int) -> list[Reading]:
    now = _rows(lake, _AGREEMENT, loop, number)
    result = [Reading(MONITOR, "agreement", row["agreement"], row["topic"]) for row in now]
    last = {number - 1} if number else set()
    earliest = (then for then in range(min(number, EARLIEST)) if _rows(lake, _AGREEMENT, loop, then))
    baselines = {
        then: _rows(lake, _AGREEMENT, loop, then)
        for then in sorted(last | {next(earliest, number - 1)} - {-1})
    }
    agreements = {then: _mean(rows, "agreement", "n") for then, rows in baselines.items() if rows}
    value = _mean(now, "agreement", "n")
    enough = sum(row["n"] for row in now) >= FEWEST
    for then, before in agreements.items():
        if value is None or before is None:
            continue
        verdict: MonitorVerdict = "warn" if enough and value < before - WARN else "pass"
        against = f"round {then}"
        result.append(Reading(MONITOR, "agreement", value, None, before, against, before - WARN, verdict))
    if now and not agreements:
        result.append(Reading(MONITOR, "agreement", value))
    return result


def _rows(lake: Lake, sql: str, loop: str, number: int) -> list[dict[str, Any]]:
    scope: Where = {"loop": loop, "round": sorted({0, number})}
    return query(lake, sql, {"loop": loop, "round": number}, scope=scope).to_dicts()


def _mean(rows: list[dict[str, Any]], name: str, weight: str) -> float | None:
    """The mean over topics, each by its weight; None where nothing was measured."""
    measured = [(float(row[name]), row[weight]) for row in rows if row[name] is not None]
    total = sum(share for _, share in measured)
    return sum(value * share for value, share in measured) / total if total else None
