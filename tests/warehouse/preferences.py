"""A small lake with a preference round: demonstrated seeds, pairs that a judge told apart, a training.

Ids follow from their rows, as those of the program do, so that `verify --deep` can look at all of it.
"""

from __future__ import annotations

import hashlib

import polars as pl

from schemas.identity import (
    answer_id,
    base_id,
    checkpoint_id,
    decision_id,
    demonstration_id,
    guest_id,
    preference_id,
    prompt_id,
    step_id,
    training_event_id,
)
from schemas.ids import make_id
from schemas.units import Unit
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import read
from warehouse.snapshot import freeze, read_snapshot

LOOP = "loop"
BASE = base_id(LOOP, hashlib.sha256(b"base").hexdigest())
JUDGE = guest_id(0, LOOP, "judge", hashlib.sha256(b"judge").hexdigest())
PREFER, KEEP = Unit(LOOP, 0, "prefer"), Unit(LOOP, 0, "keep")
UNITS = [KEEP.key, PREFER.key]
TRAINING = make_id("train", 0, "dpo")
MADE = checkpoint_id(0, TRAINING)


def asked(split: str, line: int) -> str:
    """The id of a prompt."""
    return prompt_id(0, LOOP, split, "test", line, f"{split} prompt {line}")


def written(split: str, line: int, index: int) -> str:
    """The id of a candidate: the base's answer or, first of the seed split, what is demonstrated."""
    if (split, index) == ("seed", 0):
        return demonstration_id(0, LOOP, asked(split, line))
    return answer_id(0, asked(split, line), BASE, index, 7, 0.7, 1.0, 16)


def preference(
    chosen: int,
    rejected: int,
    *,
    line: int = 0,
    split: str = "train",
    points: tuple[float, float] | None = (4.5, 1.25),
    probability: float | None = None,
    judge: str = JUDGE,
) -> dict[str, object]:
    """A row of table preferences over two answers to one prompt, by their indexes."""
    pair = written(split, line, chosen), written(split, line, rejected)
    return {
        "preference_id": preference_id(0, *pair, "additive", judge),
        "prompt_id": asked(split, line),
        "chosen_id": pair[0],
        "rejected_id": pair[1],
        "probability": probability,
        "chosen_value": points[0] if points else None,
        "rejected_value": points[1] if points else None,
        "principle": "additive",
        "judge_checkpoint_id": judge,
    }


def play(log: Log, preferences: list[dict[str, object]], *, text: str = "no") -> None:
    """Two prompts of each split, four candidates each, these preferences, and decisions on two of each seed.

    Of the two demonstrations one is kept, and so is the base's own answer to the same prompt.
    """
    prompts, candidates = [], []
    for split in ("train", "eval", "seed"):
        for line in range(2):
            prompts.append((asked(split, line), split, "test", line, f"{split} prompt {line}"))
            candidates += [_candidate(split, line, index, text) for index in range(4)]
    _add(log, "admit", "prompts", ["prompt_id", "split", "source", "line", "text"], prompts)
    log.once(Unit(LOOP, 0, "generate"), "candidates", lambda: pl.DataFrame(candidates))
    weights = [(BASE, "policy", b"base"), (JUDGE, "judge", b"judge")]
    rows = [(one, role, "/models", hashlib.sha256(of).hexdigest()) for one, role, of in weights]
    _add(log, "weights", "checkpoints", ["checkpoint_id", "role", "path", "content_hash"], rows)
    seeds = [(line, index) for line in range(2) for index in range(2)]
    seed_rows = [(written("seed", *seed), asked("seed", seed[0]), seed[0] == 0) for seed in seeds]
    decided = [(decision_id(0, LOOP, 0, "kept", one), one, *rest, "kept", 0) for one, *rest in seed_rows]
    columns = ["decision_id", "candidate_id", "prompt_id", "kept", "filter", "position"]
    log.once(KEEP, "decisions", lambda: pl.DataFrame(decided, schema=columns, orient="row"))
    frame = pl.DataFrame(preferences, schema_overrides={"probability": pl.Float64})
    log.once(PREFER, "preferences", lambda: frame)


def frozen(log: Log, purpose: str = "dpo") -> str:
    """The snapshot of what was played; its id."""
    parameters = {"loop": LOOP, "round": 0, "units": UNITS}
    return freeze(log, Unit(LOOP, 0, f"freeze-{purpose}"), purpose, UNITS, parameters)


def rows_of(lake: Lake, snapshot: str) -> pl.DataFrame:
    """A snapshot's examples."""
    return read_snapshot(lake.root / "snapshots" / snapshot, snapshot)


def train(log: Log, snapshot: str) -> None:
    """A finished training on a snapshot: two epochs, a step an example."""
    fed = rows_of(log.lake, snapshot)["example_id"].to_list()
    row = {
        "training_id": TRAINING,
        "objective": "dpo",
        "snapshot_id": snapshot,
        "base_checkpoint_id": BASE,
        "hyperparameters": "{}",
        "seed": 0,
        "state": "finished",
        "event_id": training_event_id(0, TRAINING, "finished"),
        "checkpoint_id": MADE,
        "step_count": 2 * len(fed),
        "tokens": 99,
        "loss": 0.5,
        "seconds": 1.0,
        "devices": "1 x cpu",
    }
    log.once(Unit(LOOP, 0, "train-finish"), "trainings", lambda: pl.DataFrame([row]))
    steps = [
        {
            "step_id": step_id(0, TRAINING, number),
            "training_id": TRAINING,
            "step": number,
            "epoch": number // len(fed),
            "example_ids": [one],
            "loss": 0.5,
            "learning_rate": 0.1,
            "grad_norm": 1.0,
            "tokens": 9,
        }
        for number, one in enumerate(fed * 2)
    ]
    log.once(Unit(LOOP, 0, "steps"), "steps", lambda: pl.DataFrame(steps))
    made = {
        "checkpoint_id": [MADE],
        "content_hash": hashlib.sha256(b"made").hexdigest(),
        "parent_id": BASE,
        "training_id": TRAINING,
        "role": "policy",
        "path": "/made",
    }
    log.once(Unit(LOOP, 0, "train"), "checkpoints", lambda: pl.DataFrame(made))
    assert read(log.lake, "steps").height == len(steps)


def _candidate(split: str, line: int, index: int, text: str) -> dict[str, object]:
    is_demonstration = (split, index) == ("seed", 0)
    return {
        "candidate_id": written(split, line, index),
        "prompt_id": asked(split, line),
        "checkpoint_id": None if is_demonstration else BASE,
        "kind": "demonstration" if is_demonstration else "answer",
        "split": split,
        "sample_index": index,
        "text": f"{split} {line} {index}: {text}",
        "seed": None if is_demonstration else 7,
        "temperature": None if is_demonstration else 0.7,
        "top_p": None if is_demonstration else 1.0,
        "max_tokens": None if is_demonstration else 16,
    }


def _add(log: Log, step: str, table: str, columns: list[str], rows: list[tuple[object, ...]]) -> None:
    log.once(Unit(LOOP, 0, step), table, lambda: pl.DataFrame(rows, schema=columns, orient="row"))
