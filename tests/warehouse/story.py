"""A small lake with a whole story: rounds of every fact that a night writes, with ids that follow from them.

Every call does what the log does not hold yet, so the same work can be done again after any fault.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from schemas.identity import (
    answer_id,
    base_id,
    checkpoint_id,
    decision_id,
    evaluation_id,
    prompt_id,
    reference_id,
    round_event_id,
    score_id,
    step_id,
    training_event_id,
)
from schemas.ids import make_id
from schemas.tables import TABLES
from schemas.units import Unit
from warehouse.artifacts import listing
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.seal import seal_rounds
from warehouse.snapshot import freeze

LOOPS = ("ada", "bob")
PROMPTS = 4
SHARDS = 2
SETTINGS = ("checkpoint_id", "sample_index", "seed", "temperature", "top_p", "max_tokens")
HASH = hashlib.sha256(b"base").hexdigest()


def build(root: Path) -> Lake:
    """A lake with two loops, each of two sealed rounds and one that is open."""
    lake = Lake.create(root)
    log = Log(lake)
    for number in range(2):
        for loop in LOOPS:
            play(log, loop, number)
            seal_rounds(log, loop)
    for loop in LOOPS:
        play(log, loop, 2, closes=False)
    return lake


def play(log: Log, loop: str, number: int, *, closes: bool = True) -> None:
    """One round, from its start to its end."""
    champion = base_id(loop, HASH) if number == 0 else checkpoint_id(number - 1, _training(loop, number - 1))
    if number == 0:
        log.once(Unit(loop, 0, "base"), "checkpoints", lambda: _base(loop))
    _state(log, loop, number, "started", champion)
    prompts = log.once(Unit(loop, number, "admit"), "prompts", lambda: _prompts(loop, number))
    answers = pl.concat(
        log.once(unit, "candidates", lambda unit=unit: _answers(unit, prompts, champion))  # type: ignore[misc]
        for unit in shards(loop, number, "generate")
    )
    log.once_each(
        shards(loop, number, "verify"), "scores", lambda units: [_scores(unit, answers) for unit in units]
    )
    filtered = Unit(loop, number, "filter")
    log.once(filtered, "decisions", lambda: _decisions(loop, number, answers))
    log.once(Unit(loop, number, "tokens"), "tokens", lambda: pl.DataFrame())
    parameters = {"loop": loop, "round": number, "units": [filtered.key]}
    snapshot = freeze(log, Unit(loop, number, "freeze"), "sft", [filtered.key], parameters)
    made = _train(log, loop, number, snapshot, champion)
    log.once(Unit(loop, number, "evaluate"), "evaluations", lambda: _evaluation(loop, number, made))
    if closes:
        _state(log, loop, number, "finished", champion, made)


def shards(loop: str, number: int, step: str) -> list[Unit]:
    """The units of a step that is done in shards."""
    return [Unit(loop, number, step, shard) for shard in range(SHARDS)]


def facts(lake: Lake) -> dict[str, pl.DataFrame]:
    """Every row of every table, the time at which it was recorded aside, in one order."""
    return {
        name: read(lake, name).drop("recorded_at").sort(table.id, "unit") for name, table in TABLES.items()
    }


def same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    """Whether two lakes hold the same facts."""
    return all(one[name].equals(other[name]) for name in TABLES)


def _training(loop: str, number: int) -> str:
    return make_id("train", number, loop)


def _base(loop: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "checkpoint_id": [base_id(loop, HASH)],
            "content_hash": HASH,
            "role": "policy",
            "path": "/models/base",
        }
    )


def _state(log: Log, loop: str, number: int, state: str, champion: str, made: str | None = None) -> None:
    event = "started" if state == "started" else "closed"
    row = {
        "event_id": [round_event_id(number, loop, event)],
        "state": state,
        "recipe": "rft",
        "recipe_hash": "r",
        "recipe_values": "{}",
        "night_begins": 0,
        "night_ends": 3,
        "champion_in": champion,
        "challenger": made,
        "champion_out": made,
    }
    log.once(Unit(loop, number, event), "rounds", lambda: pl.DataFrame(row))


def _prompts(loop: str, number: int) -> pl.DataFrame:
    texts = [f"{loop} asks {i} + {number}; ünïcode \x00 '\"" for i in range(PROMPTS)]
    ids = [prompt_id(number, loop, "train", "story", i + 1, text) for i, text in enumerate(texts)]
    return pl.DataFrame(
        {
            "prompt_id": ids,
            "split": "train",
            "source": "story",
            "line": pl.int_range(1, PROMPTS + 1, eager=True),
            "text": texts,
        }
    )


def _answers(unit: Unit, asked: pl.DataFrame, checkpoint: str) -> pl.DataFrame:
    """The shard's prompts, with a reference and one answer each."""
    rows = []
    for prompt in asked["prompt_id"].gather_every(SHARDS, unit.shard):
        settings = (checkpoint, 0, 7, 0.7, 1.0, 16)
        row_id = answer_id(unit.round, prompt, *settings)
        rows.append((row_id, prompt, *settings, "answer", f"#### {unit.round}"))
        known = reference_id(unit.round, unit.loop, prompt)
        rows.append((known, prompt, None, 0, None, None, None, None, "reference", "#### 1"))
    names = ["candidate_id", "prompt_id", *SETTINGS, "kind", "text"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(split=pl.lit("train"))


def _scores(unit: Unit, answers: pl.DataFrame) -> pl.DataFrame:
    mine = answers.sort("candidate_id").gather_every(SHARDS, unit.shard).select("candidate_id", "prompt_id")
    ids = [score_id(unit.round, candidate, "maths", "1") for candidate in mine["candidate_id"]]
    return mine.with_columns(
        score_id=pl.Series(ids),
        verifier=pl.lit("maths"),
        verifier_version=pl.lit("1"),
        verifier_kind=pl.lit("rule"),
        outcome=pl.lit("pass"),
        value=pl.lit(1.0),
    )


def _decisions(loop: str, number: int, answers: pl.DataFrame) -> pl.DataFrame:
    ids = [decision_id(number, loop, 0, "correct", candidate) for candidate in answers["candidate_id"]]
    return answers.select(
        "candidate_id",
        "prompt_id",
        decision_id=pl.Series(ids),
        filter=pl.lit("correct"),
        position=pl.lit(0),
        kept=pl.col("kind") == "answer",
    )


def _train(log: Log, loop: str, number: int, snapshot: str, champion: str) -> str:
    """A training with its folder in the lake; returns the checkpoint it made."""
    training, lake = _training(loop, number), log.lake
    made = checkpoint_id(number, training)
    row = {
        "training_id": training,
        "objective": "sft",
        "snapshot_id": snapshot,
        "base_checkpoint_id": champion,
        "hyperparameters": "{}",
        "seed": 0,
    }
    begun = {"event_id": [training_event_id(number, training, "started")], "state": "started"}
    log.once(Unit(loop, number, "train"), "trainings", lambda: pl.DataFrame(begun | row))
    examples = read(lake, "snapshots", {"loop": loop, "round": number})["path"][0]
    fed = pl.read_parquet(lake.root / examples / "examples.parquet", glob=False)["example_id"].to_list()
    step = {
        "step_id": [step_id(number, training, 0)],
        "training_id": training,
        "step": 0,
        "epoch": 0,
        "loss": 1.5,
        "learning_rate": 0.1,
        "grad_norm": 1.0,
        "tokens": 9,
    }
    log.once(Unit(loop, number, "steps"), "steps", lambda: pl.DataFrame(step | {"example_ids": [fed]}))

    def finished() -> pl.DataFrame:
        for name, text in (("checkpoint/model.safetensors", "w" * 300), ("result.json", '{"loss": 1.5}')):
            lake.store.replace(f"trainings/{training}/{name}", text.encode())
        lake.publish(f"trainings/{training}")
        ended = {"event_id": [training_event_id(number, training, "finished")], "state": "finished"}
        results = {"checkpoint_id": made, "files": listing(lake, f"trainings/{training}")}
        return pl.DataFrame(ended | row | results)

    log.once(Unit(loop, number, "trained"), "trainings", finished)
    weights = {
        "checkpoint_id": [made],
        "content_hash": hashlib.sha256(made.encode()).hexdigest(),
        "parent_id": champion,
        "training_id": training,
        "role": "policy",
        "path": f"trainings/{training}/checkpoint",
    }
    log.once(Unit(loop, number, "checkpoint"), "checkpoints", lambda: pl.DataFrame(weights))
    return made


def _evaluation(loop: str, number: int, made: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "evaluation_id": [evaluation_id(number, loop, made, "suite", "accuracy")],
            "checkpoint_id": made,
            "suite": "suite",
            "metric": "accuracy",
            "value": 0.5,
            "n": PROMPTS,
        }
    )
