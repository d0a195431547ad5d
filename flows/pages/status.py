"""What a loop looks like from outside: one value a round, the same for tables, JSON and artifacts."""

from __future__ import annotations

import json
from typing import Any

from flows.pages.plateau import plateau
from flows.round.verdicts import VERDICT_OF
from schemas.errors import NotFound
from warehouse.ancestry.retract import holders, retractions
from warehouse.lake import Lake
from warehouse.query import query

_WHOLE_ROUND = {  # column of the table: metric of the monitors
    "pass rate": "pass_rate",
    "coverage": "coverage",
    "paths": "distinct_paths",
    "2-grams": "distinct_2grams",
    "compression": "compression_ratio",
    "tokens": "mean_tokens",
}

_ROUNDS = """
    SELECT r.loop, r.round, r.recipe, r.state, r.champion_in, r.challenger, r.champion_out, r.reason,
           r.seconds, r.started_at, r.closed_at,
           f.prompts, f.candidates, f.correct, f.accepted, n.trained_on, d.per_question
    FROM round_states AS r
    LEFT JOIN funnel AS f USING (loop, round)
    LEFT JOIN (
        SELECT loop, round, sum(rows) AS trained_on FROM snapshots GROUP BY ALL
    ) AS n USING (loop, round)
    LEFT JOIN distinct_paths AS d USING (loop, round)
    WHERE $loop IS NULL OR r.loop = $loop
    ORDER BY r.loop, r.round"""

_ACCURACY = """
    SELECT loop, round, place, metric, value, low, high
    FROM accuracy WHERE $loop IS NULL OR loop = $loop"""

_BY_STEPS = """
    SELECT loop, round, place, steps, prompts, problems, accuracy
    FROM accuracy_by_steps WHERE $loop IS NULL OR loop = $loop ORDER BY ALL"""

_AUDITS = """
    SELECT loop, round, monitor, metric, subject, value, against, baseline, verdict, reason
    FROM audits WHERE $loop IS NULL OR loop = $loop
    ORDER BY loop, round, monitor, metric, subject, against"""


def status(lake: Lake, loop: str | None = None) -> list[dict[str, Any]]:
    """One value a round, oldest first; NotFound where the loop (or, for None, the lake) has no round."""
    scope = {"loop": loop} if loop else None
    rounds = query(lake, _ROUNDS, {"loop": loop}, scope=scope).to_dicts()
    if not rounds:
        what = f"loop {loop} has no round" if loop else "no loop has a round"
        raise NotFound(f"{what} in the lake at {lake.where}: `ratchet run rft` begins one")
    measured: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in query(lake, _ACCURACY, {"loop": loop}, scope=scope).to_dicts():
        measured.setdefault((row["loop"], row["round"], row["place"]), {})[row["metric"]] = row
    steps: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in query(lake, _BY_STEPS, {"loop": loop}, scope=scope).to_dicts():
        steps.setdefault((row.pop("loop"), row.pop("round"), row.pop("place")), []).append(row)
    audits: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in query(lake, _AUDITS, {"loop": loop}, scope=scope).to_dicts():
        audits.setdefault((row.pop("loop"), row.pop("round")), []).append(row)
    told = [_round(row, measured, steps, audits.get((row["loop"], row["round"]), [])) for row in rounds]
    held = _held(lake, told)
    return [
        {**one, "over": plateau(_until(told, one)), "holds_retracted": held.get(_champion(one), [])}
        for one in told
    ]


def _champion(one: dict[str, Any]) -> str:
    """The champion that a round left, or has while it is open."""
    return str(one["champion_out"] or one["champion"]["checkpoint"])


def _held(lake: Lake, told: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What each round's champion holds of what was taken back."""
    return holders(lake, sorted({_champion(one) for one in told})) if retractions(lake) else {}


def _until(rounds: list[dict[str, Any]], one: dict[str, Any]) -> list[dict[str, Any]]:
    """The rounds of its loop up to a round."""
    return [r for r in rounds if r["loop"] == one["loop"] and r["round"] <= one["round"]]


def table_rows(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat rows of what a person looks at first."""
    return [
        {
            "round": r["round"],
            "prompts": r["prompts"],
            "candidates": r["candidates"],
            "accepted": r["accepted"],
            "paths a question": _number(r["distinct_paths"], "{:.2f}"),
            "champion": interval(r["champion"]),
            "challenger": interval(r["challenger"]),
            "verdict": r["verdict"],
        }
        for r in rounds
    ]


def steps_rows(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat rows of greedy accuracy in percent by the number of steps that prompts say they need.

    There is a row for the first round's champion and for every challenger.
    """
    measured = [(r["round"], place, r[place]) for r in rounds for place in ("champion", "challenger")]
    measures = [one for n, one in enumerate(measured) if one[2] and (n == 0 or one[1] == "challenger")]
    names = sorted({one["steps"] for _, _, checkpoint in measures for one in checkpoint["by_steps"]})
    if not names:
        return []
    by_steps = [
        {one["steps"]: one["accuracy"] for one in checkpoint["by_steps"]} for _, _, checkpoint in measures
    ]
    return [
        {"round": number, "checkpoint": place}
        | {_steps(name): f"{100 * accuracies[name]:.1f}" if name in accuracies else "-" for name in names}
        for (number, place, _), accuracies in zip(measures, by_steps, strict=True)
    ]


def _steps(count: int) -> str:
    return f"{count} step{'s' if count != 1 else ''}"


def narrowing_rows(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat rows of the monitors' readings that hold for a whole round."""
    return [
        {"round": r["round"]}
        | {label: _reading(r["audits"], metric) for label, metric in _WHOLE_ROUND.items()}
        | {
            f"{label} JS to {short}": _reading(r["audits"], metric, against)
            for label, metric in (("length", "length_js"), ("format", "format_js"))
            for short, against in (("round 0", "round 0"), ("the last", f"round {r['round'] - 1}"))
        }
        | {"monitors say": _worst(r["audits"])}
        for r in rounds
        if r["audits"]
    ]


def interval(measured: dict[str, Any] | None) -> str:
    """An accuracy with its 95% confidence interval, in percent."""
    if not measured or measured["accuracy"] is None:
        return "-"
    low, high = 100 * measured["low"], 100 * measured["high"]
    return f"{100 * measured['accuracy']:.1f} [{low:.1f}, {high:.1f}]"


def _round(
    row: dict[str, Any],
    measured: dict[tuple[Any, ...], dict[str, Any]],
    steps: dict[tuple[Any, ...], list[dict[str, Any]]],
    audits: list[dict[str, Any]],
) -> dict[str, Any]:
    places = {name: (row["loop"], row["round"], name) for name in ("champion", "challenger")}
    champion, challenger = (
        _checkpoint(row[column], measured.get(places[name], {}), steps.get(places[name], []))
        for name, column in (("champion", "champion_in"), ("challenger", "challenger"))
    )
    return {
        "loop": row["loop"],
        "round": row["round"],
        "recipe": row["recipe"],
        "prompts": row["prompts"] or 0,
        "candidates": row["candidates"] or 0,
        "correct": row["correct"],
        "accepted": row["accepted"] or 0,
        "trained_on": int(row["trained_on"] or 0),
        "distinct_paths": row["per_question"],
        "champion": champion,
        "challenger": challenger,
        "champion_out": row["champion_out"],
        "verdict": VERDICT_OF[row["state"]],
        "reason": row["reason"],
        "seconds": json.loads(row["seconds"]) if row["seconds"] else {},
        "started_at": row["started_at"].isoformat(),
        "closed_at": row["closed_at"].isoformat() if row["closed_at"] else None,
        "audits": audits,
    }


def _checkpoint(
    checkpoint_id: str | None, metrics: dict[str, Any], by_steps: list[dict[str, Any]]
) -> dict[str, Any] | None:
    if checkpoint_id is None:
        return None
    accuracy = metrics.get("accuracy", {})
    return {
        "checkpoint": checkpoint_id,
        "accuracy": accuracy.get("value"),
        "low": accuracy.get("low"),
        "high": accuracy.get("high"),
        "metrics": {name: row["value"] for name, row in sorted(metrics.items())},
        "by_steps": by_steps,
    }


def _reading(audits: list[dict[str, Any]], metric: str, against: str | None = None) -> str:
    values = [
        a["value"]
        for a in audits
        if a["metric"] == metric and a["subject"] is None and against in (None, a["against"])
    ]
    return _number(values[0] if values else None, "{:.3g}")


def _worst(audits: list[dict[str, Any]]) -> str:
    """What the monitors that do not pass say, worst first; none where no reading could be made."""
    for verdict in ("stop", "warn"):
        alarms = [
            f"{a['metric']}{' of ' + a['subject'] if a['subject'] else ''}"
            for a in audits
            if a["verdict"] == verdict
        ]
        if alarms:
            return f"{verdict}: {', '.join(dict.fromkeys(alarms))}"
    if any(a["verdict"] == "pass" for a in audits):
        return "pass"
    reasons = dict.fromkeys(a["reason"] or "nothing was read" for a in audits)
    return f"none: {'; '.join(reasons)}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
