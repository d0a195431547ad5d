"""What the command line prints: tables of rounds and rows, and the stories that trace tells."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.pages.plateau import plateau_lines
from flows.pages.status import narrowing_rows, steps_rows, table_rows
from flows.round.progress import printable

COLUMNS = 6  # rounds that the table of readings shows
LONGEST = 400  # characters of one text in a story


def night_table(console: Console, rounds: list[dict[str, Any]], lake: str) -> None:
    """The table a night ends with: every round, why, what the monitors read, and what to try next."""
    loop = rounds[-1]["loop"]
    console.print(rows_table(table_rows(rounds), title=f"loop {loop}: held-out accuracy in %, 95% intervals"))
    for r in rounds:
        if r["reason"]:
            _say(console, f"round {r['round']} {r['verdict']}: {r['reason']}", 1)
    if by_steps := steps_rows(rounds):
        console.print(rows_table(by_steps, title="greedy accuracy by steps, %"))
    readings = narrowing_rows(rounds)
    if readings:
        title = "narrowing and drift (JS in bits)"
        console.print(rows_table(_turned(readings), title=title))
    last = rounds[-1]
    for what in last["holds_retracted"]:
        _say(console, f"the champion holds what was taken back: {what}", 0)
    for line in plateau_lines(last["over"]) if last["over"] else []:
        _say(console, line, 0)
    console.print("\nnext, try:", highlight=False)
    place = "" if lake == "lake" else f" --lake {lake}"
    topic = "SELECT topic, difficulty, acceptance, coverage FROM acceptance WHERE loop = "
    ratchet = "ratchet" if shutil.which("ratchet") else os.path.relpath(sys.argv[0])
    for command in (
        f"{ratchet} trace{place} {last['champion_out'] or last['champion']['checkpoint']}",
        f"{ratchet} sql{place} \"{topic}'{loop}' AND round = {last['round']}\"",
        f"{ratchet} status{place} --loop {loop} --json",
    ):
        console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def _turned(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a metric and a column a round: the first and the latest ones, as many as a terminal takes."""
    rounds = readings if len(readings) <= COLUMNS else [readings[0], *readings[1 - COLUMNS :]]
    metrics = [name for name in rounds[0] if name != "round"]
    return [{"reading": name} | {f"round {one['round']}": one[name] for one in rounds} for name in metrics]


def rows_table(rows: Sequence[dict[str, Any]], title: str | None = None) -> Table:
    """Rows with the same keys as a table; numbers to the right."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in rows[0] if rows else []:
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    return table


def story(console: Console, lineage: dict[str, Any]) -> None:
    """A trace, as a person reads it."""
    (_checkpoint_story if lineage["kind"] == "checkpoint" else _candidate_story)(console, lineage)


def _checkpoint_story(console: Console, lineage: dict[str, Any]) -> None:
    for depth, one in enumerate(lineage["generations"]):
        checkpoint, training, snapshot = one["checkpoint"], one["training"], one["snapshot"]
        lead = "" if depth == 0 else "trained from "
        _say(console, f"{lead}{checkpoint['checkpoint_id']}  weights {checkpoint['content_hash'][:12]}", 0)
        for metric in one["evaluations"]:
            if metric["metric"] == "accuracy":
                _say(console, f"held-out accuracy {100 * metric['value']:.1f}% over {metric['n']} prompts", 1)
        if training is None:
            _say(console, f"a base: {_short(checkpoint['origin'] or 'origin not told')}", 1)
            continue
        _say(console, f"round {checkpoint['round']}, training {training['training_id']}", 1)
        _say(
            console,
            f"{training['objective']}, {training['step_count']} steps, {training['tokens']:,} tokens, "
            f"last loss {training['loss']:.3f}, {training['seconds']:.0f} s on {training['devices']}",
            1,
        )
        if snapshot:
            _say(console, f"snapshot {snapshot['snapshot_id']}: {snapshot['rows']:,} examples", 1)
        for writer in one["writers"]:
            who = writer["checkpoint_id"] or f"{writer['kind']}s"
            how = f" {writer['kind']}" if writer["kind"] in ("chosen", "rejected") else ""
            _say(
                console,
                f"{writer['examples']:,}{how} to {writer['prompts']:,} prompts by {who} "
                f"in round {writer['round']}",
                2,
            )
        for guest in one["guests"]:
            _say(
                console, f"{guest['checkpoint_id']} is a {guest['role']}: {_short(guest['origin'] or '')}", 2
            )
        if one["pairs"]:
            _say(console, _judged(one["pairs"]), 2)


def _judged(pairs: dict[str, Any]) -> str:
    """What a training's pairs were worth to their judge."""
    points = _points(pairs["chosen_value"], pairs["rejected_value"])
    judges = ", ".join(pairs["judges"] or [])
    return f"{pairs['pairs']:,} pairs{points}" + (f", judged by {judges}" if judges else "")


def _verdict(preference: dict[str, Any], other: str) -> str:
    """What a preference says, how surely, and by whom or what; or why it says nothing."""
    points = _points(preference["chosen_value"], preference["rejected_value"])
    by = preference["source"] or preference["principle"]
    by = f" ({by})" if by else ""
    if not points and preference["probability"] in (None, 0.5):
        other = other.replace("chosen over", "beside").replace("rejected for", "beside")
        return f"none, {other}: {preference['reason'] or 'no verdict'}{by}"
    sure = "" if preference["probability"] is None else f", probability {preference['probability']:.3g}"
    return f"{other}{points}{sure}{by}"


def _points(chosen: float | None, rejected: float | None) -> str:
    return "" if chosen is None or rejected is None else f", {chosen:.2f} points to {rejected:.2f}"


def _candidate_story(console: Console, lineage: dict[str, Any]) -> None:
    candidate, prompt = lineage["candidate"], lineage["prompt"]
    _say(console, f"{lineage['id']}  ({candidate['kind']}, round {candidate['round']})", 0)
    if prompt:
        _say(
            console,
            f"prompt {prompt['prompt_id']} ({prompt['split']}, {prompt['source']}:{prompt['line']})",
            1,
        )
        for line in _prompt_lines(prompt):
            _say(console, line, 2)
        _say(console, f"reference {_short(prompt['reference'] or 'none')}", 2)
    writer = candidate["checkpoint_id"] or "the reference"
    sampling = (
        f", temperature {candidate['temperature']}, seed {candidate['seed']}"
        if candidate["seed"] is not None
        else ""
    )
    _say(console, f"written by {writer}{sampling}", 1)
    _say(console, _short(candidate["text"]), 2)
    if critique := lineage["revises"]:
        _say(
            console, f"revises {critique['candidate_id']}, criticised by principle {critique['principle']}", 1
        )
        _say(console, _short(critique["text"]), 2)
    for score in lineage["scores"]:
        value = "" if score["value"] is None else f" {score['value']:g}"
        by = f"{score['verifier']} {score['verifier_version']}"
        _say(console, f"{by}: {score['outcome']}{value} ({score['rationale']})", 1)
    for decision in lineage["decisions"]:
        word = "kept" if decision["kept"] else f"dropped: {decision['reason']}"
        instead = f" of {decision['duplicate_of']}" if decision["duplicate_of"] else ""
        _say(console, f"round {decision['round']}, {decision['filter']}: {word}{instead}", 1)
    for one in lineage["preferences"]:
        chosen = one["chosen_id"] == lineage["id"]
        other = f"chosen over {one['rejected_id']}" if chosen else f"rejected for {one['chosen_id']}"
        _say(console, f"round {one['round']}, preference: {_verdict(one, other)}", 1)
    for use in lineage["uses"]:
        steps = ", ".join(map(str, use["steps"][:8])) + (" ..." if len(use["steps"]) > 8 else "")
        place = f" as {use['place']}, beside {use['beside']}," if use["place"] else ""
        _say(console, f"trained on{place} in round {use['round']}: {use['training_id']}, steps {steps}", 1)
    if not lineage["uses"]:
        _say(console, "no training has used it", 1)
    for touched in lineage["checkpoints"]:
        _say(console, f"touches {touched['checkpoint_id']} ({touched['how']})", 1)


def _prompt_lines(prompt: dict[str, Any]) -> list[str]:
    """What was asked, a line a turn where that was a conversation."""
    if prompt["messages"] is None:
        return [_short(prompt["text"])]
    return [f"{one['role']}: {_short(one['content'])}" for one in json.loads(prompt["messages"])]


def _say(console: Console, line: str, depth: int) -> None:
    console.print("  " * depth + printable(line), markup=False, highlight=False, soft_wrap=True)


def _short(text: str) -> str:
    flat = " / ".join(text.strip().splitlines())
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 3] + "..."


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value))
