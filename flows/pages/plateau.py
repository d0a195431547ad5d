"""When a loop is over for now: three held rounds without a trend, what stopped growing, what would help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

HELD = 3
"""Held rounds in a row that are looked at."""
GROWTH = 0.05
"""What counts as growth of paths and coverage, as a share; of hard prompts' accuracy, as a difference."""


def plateau(rounds: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What three held rounds without a trend say of a loop's rounds, oldest first; None where they do not.

    A trend is a last challenger above its champion and above the first of the three: it may only need more
    held-out prompts, or another round.
    """
    last = [r for r in rounds if r["verdict"] != "open"][-HELD:]
    if len(last) < HELD or any(r["verdict"] != "held" for r in last):
        return None
    marks = [(r["challenger"] or {}).get("accuracy") for r in last]
    champion = last[-1]["champion"]["accuracy"]
    if None not in (*marks, champion) and marks[-1] > max(marks[0], champion):
        return None
    before = next((r for r in reversed(rounds[: -len(last)]) if r["verdict"] == "promoted"), last[0])
    stopped = _stopped(before, last[-1])
    return {
        "held": [r["round"] for r in last],
        "champion": champion,
        "challengers": marks,
        "stopped_growing": stopped,
        "would_help": _help(before, last[-1], stopped),
    }


def plateau_lines(over: dict[str, Any]) -> list[str]:
    """The same for a person."""
    first, end = over["held"][0], over["held"][-1]
    marks = ", ".join("none" if one is None else f"{100 * one:.1f}" for one in over["challengers"])
    champion = "" if over["champion"] is None else f" against the champion's {100 * over['champion']:.1f}"
    lines = [f"this loop has stopped growing: rounds {first} to {end} were held, {marks}{champion}, no trend"]
    if over["stopped_growing"]:
        flat = (f"{one['what']} {one['before']} then, {one['now']} now" for one in over["stopped_growing"])
        lines.append(f"did not grow since round {over['stopped_growing'][0]['since']}: {'; '.join(flat)}")
    return [*lines, *(f"would help: {one}" for one in over["would_help"])]


def _stopped(before: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """What is not larger than it was in the round that last promoted, or in the first of the held ones."""
    flat = []
    for what, read in _GROWING.items():
        old, new = read(before), read(now)
        room = GROWTH if read is _hardest else GROWTH * (old or 0)
        if old is not None and new is not None and new <= old + room:
            flat.append(
                {"what": what, "since": before["round"], "before": round(old, 3), "now": round(new, 3)}
            )
    return flat


def _help(before: dict[str, Any], now: dict[str, Any], stopped: list[dict[str, Any]]) -> list[str]:
    """What of a recipe to change, by what stopped."""
    names = {one["what"] for one in stopped}
    covered = _coverage(now)
    advice = []
    if now["trained_on"] > 1.5 * max(1, now["accepted"]):
        advice.append("train on what is new: start_from=champion with pool_untaught=true, and a pool_budget")
    if "coverage" in names and covered is not None and covered < 0.9:
        advice.append("more answers where none is right (sampling.samples), or easier prompts beside them")
    if "paths a question" in names:
        advice.append("prompts in other words: another file, or another prompts.family of the tutor's")
    if "accuracy on the hardest" in names:
        advice.append("prompts of the hard kind in a larger share (on the tutor prompts.difficulties)")
    return [*advice, "a base that knows more: what it never gets right, its own answers do not teach it"]


def _paths(one: dict[str, Any]) -> float | None:
    paths: float | None = one["distinct_paths"]
    return paths


def _coverage(one: dict[str, Any]) -> float | None:
    whole = (a["value"] for a in one["audits"] if a["metric"] == "coverage" and a["subject"] is None)
    return next(whole, None)


def _hardest(one: dict[str, Any]) -> float | None:
    """The challenger's accuracy on the prompts of most steps, where prompts say that."""
    by_steps = (one["challenger"] or {}).get("by_steps") or []
    return by_steps[-1]["accuracy"] if by_steps else None


_GROWING: Mapping[str, Callable[[dict[str, Any]], float | None]] = {
    "paths a question": _paths,
    "coverage": _coverage,
    "accuracy on the hardest": _hardest,
}
