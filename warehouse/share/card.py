"""The card of an exported training set: its lineage in Markdown, every number asked of the lake.

Text of models, prompt files and origins is escaped, so that it can neither make markup nor steer a terminal.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import yaml

from warehouse.ancestry.retract import reached_by, retractions
from warehouse.delta.seals import find_seal
from warehouse.lake import Lake
from warehouse.query import query, read

Row = Mapping[str, Any]
MOST = 50  # rows of a table; the card says how many more there are
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|~#!"})

# every text of the training set: of a pair, both
_TEXTS = """
    WITH texts AS (
        SELECT candidate_id, prompt_id FROM examples WHERE snapshot_id = $snapshot
        UNION ALL
        SELECT rejected_id, prompt_id FROM examples
        WHERE snapshot_id = $snapshot AND rejected_id IS NOT NULL)"""
_WRITERS = f"""{_TEXTS}
    SELECT coalesce(c.checkpoint_id, 'no checkpoint') AS checkpoint, c.kind, c.round,
           count(*) AS texts, count(DISTINCT e.prompt_id) AS prompts
    FROM texts AS e
    JOIN candidates AS c ON c.candidate_id = e.candidate_id AND c.loop = $loop
    GROUP BY ALL ORDER BY c.round, 1, 2"""
_PROMPTS = """
    SELECT p.source, coalesce(p.topic, 'none given') AS topic,
           count(DISTINCT e.prompt_id) AS prompts, count(*) AS examples
    FROM examples AS e
    JOIN prompts AS p ON p.prompt_id = e.prompt_id AND p.loop = $loop
    WHERE e.snapshot_id = $snapshot
    GROUP BY ALL ORDER BY examples DESC, 1, 2"""
_FUNNEL = """
    SELECT filter, count(*) AS seen, count(*) FILTER (kept) AS kept, count(*) FILTER (NOT kept) AS dropped
    FROM decisions
    WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units))
    GROUP BY filter ORDER BY min(position), filter"""
_REASONS = """
    SELECT filter, coalesce(reason, 'none given') AS reason, count(*) AS dropped
    FROM decisions
    WHERE loop = $loop AND round = $round AND unit IN (SELECT unnest($units)) AND NOT kept
    GROUP BY ALL ORDER BY min(position), dropped DESC, 1, 2"""
_VERIFIERS = f"""{_TEXTS}
    SELECT s.verifier, s.verifier_version AS version, s.verifier_kind AS kind, s.outcome,
           count(DISTINCT s.candidate_id) AS texts
    FROM texts AS e
    JOIN scores AS s ON s.candidate_id = e.candidate_id AND s.loop = $loop
    GROUP BY ALL ORDER BY ALL"""
_TRAINED = """
    SELECT c.checkpoint_id AS checkpoint, t.objective, t.base_checkpoint_id AS trained_from, c.round
    FROM trainings AS t
    JOIN checkpoints AS c ON c.training_id = t.training_id AND c.loop = t.loop
    WHERE t.loop = $loop AND t.snapshot_id = $snapshot AND t.state = 'finished'
    ORDER BY c.round, 1"""
_BASE = """
    SELECT checkpoint_id, content_hash, origin FROM checkpoints
    WHERE loop = $loop AND parent_id IS NULL AND training_id IS NULL AND role = 'policy' ORDER BY ALL"""


def card(lake: Lake, snapshot: Row, examples: pl.DataFrame, file: str, *, chat: bool) -> str:
    """The card of a snapshot (a row of table `snapshots`) whose examples lie in `file`."""
    names = {"loop": snapshot["loop"], "snapshot": snapshot["snapshot_id"]}
    here = {"loop": snapshot["loop"], "round": snapshot["round"], "units": list(snapshot["units"])}

    def rows_of(sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        return query(lake, sql, values, scope={"loop": snapshot["loop"]}).to_dicts()

    parts = [
        _front(file),
        f"# Training set of loop {_text(snapshot['loop'])}, round {snapshot['round']}",
        f"{examples.height:,} examples, frozen by Ratchet. Every number here was asked of the lake.",
        _table([{"what": key, "is": value} for key, value in _facts(lake, snapshot, examples, chat).items()]),
        "## Where it began",
        *_base(rows_of(_BASE, {"loop": snapshot["loop"]})),
        "## Who wrote it",
        _table(rows_of(_WRITERS, names)),
        "## What it was asked",
        _table(rows_of(_PROMPTS, names)),
        "## What was dropped",
        "Each filter sees what the one before kept. The dropped are in the lake, with the reason.",
        _table(rows_of(_FUNNEL, here)),
        _table(rows_of(_REASONS, here)),
        "## Who judged it",
        _table(rows_of(_VERIFIERS, names)),
        "## What was trained on it",
        _table(rows_of(_TRAINED, names)),
        *_taken_back(lake, snapshot),
        "## The first example",
        _fenced(json.dumps(examples.row(0, named=True))),
        "## The recipe",
        _fenced(_recipe(lake, snapshot)),
        "## Tracing it",
        _fenced(_commands(lake, snapshot, examples)),
    ]
    return "\n\n".join(parts) + "\n"


def _front(file: str) -> str:
    """What Hugging Face's `datasets` reads to find the rows."""
    config = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}]}
    return f"---\n{yaml.safe_dump(config, sort_keys=False)}---"


def _facts(lake: Lake, snapshot: Row, examples: pl.DataFrame, chat: bool) -> dict[str, object]:
    loop, number = snapshot["loop"], snapshot["round"]
    round_ = _round(lake, snapshot)
    seal = find_seal(lake.store, loop, number)
    columns = ", ".join(examples.columns)
    messages = ", `messages` as canonical JSON" if "messages" in examples.columns else ""
    return {
        "snapshot": snapshot["snapshot_id"],
        "content hash": f"{snapshot['content_hash']} (SHA-256 over the snapshot's canonical rows)",
        "these rows": f"a chat made of the snapshot's columns {columns}: they do not hash to it"
        if chat
        else f"hash to it{messages}; columns {columns}",
        "purpose": snapshot["purpose"],
        "frozen": snapshot["recorded_at"].isoformat(timespec="seconds"),
        "round": f"{number} of loop {loop}, {round_.get('state', 'not on record')}",
        "recipe": round_.get("recipe", "not on record"),
        "recipe hash": round_.get("recipe_hash", "not on record"),
        "champion then": round_.get("champion_in", "not on record"),
        "seal": "the round is not sealed yet" if seal is None else seal.sha256,
    }


def _round(lake: Lake, snapshot: Row) -> dict[str, Any]:
    sql = "SELECT * FROM round_states WHERE loop = $loop AND round = $round"
    place = {"loop": snapshot["loop"], "round": snapshot["round"]}
    rows = query(lake, sql, place, scope=place).to_dicts()
    return rows[0] if rows else {}


def _base(rows: Sequence[Row]) -> list[str]:
    """A loop's base, and where that comes from in its own words."""
    facts = [{"base": row["checkpoint_id"], "content hash": row["content_hash"]} for row in rows]
    return [_table(facts), *(_fenced(str(row["origin"])) for row in rows if row["origin"])]


def _taken_back(lake: Lake, snapshot: Row) -> list[str]:
    """What of the training set was taken back since; nothing where nothing of it was."""
    own = f"{snapshot['snapshot_id']}/"
    counts = [
        (one, int(reached_by(lake, one["what"])["id"].str.starts_with(own).sum()))
        for one in retractions(lake)
    ]
    rows = [
        {"taken back": one["what"], "why": one["why"], "examples": count} for one, count in counts if count
    ]
    return ["## What was taken back since", _table(rows)] if rows else []


def _recipe(lake: Lake, snapshot: Row) -> str:
    """The recipe's values as YAML, in which text stays ASCII."""
    values = json.loads(_round(lake, snapshot).get("recipe_values") or "{}")
    return yaml.safe_dump(values, sort_keys=False).rstrip()


def _commands(lake: Lake, snapshot: Row, examples: pl.DataFrame) -> str:
    trained = read(lake, "checkpoints", {"loop": snapshot["loop"], "round": snapshot["round"]})
    checkpoints = trained.filter(pl.col("training_id").is_not_null())["checkpoint_id"].sort().to_list()
    seal = find_seal(lake.store, snapshot["loop"], snapshot["round"])
    lines = [f"ratchet trace {examples['candidate_id'][0]}", *(f"ratchet trace {one}" for one in checkpoints)]
    lines += [f"ratchet sql \"FROM examples WHERE snapshot_id = '{snapshot['snapshot_id']}'\""]
    lines += [f"ratchet verify --seal {seal.sha256}"] if seal else []
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; a line that says so where there is none."""
    if not rows:
        return "None on record."
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[_text(value) for value in row.values()] for row in rows[:MOST]]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    more = len(rows) - MOST
    return table if more <= 0 else f"{table}\n\nand {more:,} more; the lake has them all."


def _text(value: object) -> str:
    """A value as plain text inside Markdown: no markup, no line break, no control character."""
    if isinstance(value, int):
        return f"{value:,}"
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return html.escape(text, quote=False).translate(_MARKS).replace("://", ":&#47;&#47;")


def _fenced(text: str) -> str:
    """Text as it is, in a block that no line of it can close."""
    fence = "```"
    while fence in text:
        fence += "`"
    safe = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return f"{fence}\n{safe}\n{fence}"
