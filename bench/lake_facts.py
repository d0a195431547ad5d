"""Facts for benchmarks of the lake: rounds of candidates with scores, decisions, a training and a checkpoint.

Rows have the shapes of a real night (4 answers a prompt, solutions of some 90 characters, verdicts with
steps and paths, three filters), written through the log and frozen by the real selection; only their texts
and numbers are drawn at random, from a stated seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from schemas.identity import base_id, checkpoint_id, example_id, round_event_id, step_id
from schemas.units import Unit
from warehouse.log import Log
from warehouse.seal import seal_rounds
from warehouse.snapshot import freeze

LOOP = "bench"
SAMPLES = 4
UNIT_ROWS = 5_000
UNITS_A_COMMIT = 4
BATCH = 64  # examples in an optimizer step
BASE = base_id(LOOP, "0" * 64)


class Facts:
    """Rounds of `size` candidates each."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size, self._draw = size, np.random.default_rng(seed)
        words = [
            "<<3*4=12>>",
            "<<12+5=17>>",
            "so there are",
            "apples",
            "she buys",
            "each costs",
            "left",
            "17",
        ]
        self._lines = [" ".join(self._draw.choice(words, 9)) for _ in range(2_000)]

    def ids(self, kind: str, number: int, count: int) -> list[str]:
        """Ids as the house makes them, of random digests."""
        text = self._draw.bytes(12 * count).hex()
        return [f"{kind}-{number:05d}-{text[24 * i : 24 * i + 24]}" for i in range(count)]

    def candidates(self, number: int, prompts: Sequence[str], writer: str, count: int) -> pl.DataFrame:
        """Answers of a round."""
        lines = self._draw.integers(0, len(self._lines), count)
        return pl.DataFrame(
            {
                "candidate_id": self.ids("cand", number, count),
                "prompt_id": [prompts[i // SAMPLES] for i in range(count)],
                "checkpoint_id": writer,
                "kind": "answer",
                "split": "train",
                "sample_index": np.arange(count) % SAMPLES,
                "text": [f"{self._lines[line]} #### {i}" for i, line in enumerate(lines)],
                "finish_reason": "stop",
                "token_count": self._draw.integers(10, 60, count),
                "logprob_sum": -self._draw.random(count) * 20,
                "temperature": 1.0,
                "top_p": 1.0,
                "max_tokens": 80,
                "seed": self._draw.integers(0, 1 << 40, count),
            }
        )

    def scores(self, number: int, candidates: pl.DataFrame) -> pl.DataFrame:
        """A verdict on each."""
        passed = self._draw.random(candidates.height) < 0.3
        return candidates.select(
            pl.Series("score_id", self.ids("score", number, candidates.height)),
            "candidate_id",
            "prompt_id",
            pl.lit("maths").alias("verifier"),
            pl.lit("1").alias("verifier_version"),
            pl.lit("rule").alias("verifier_kind"),
            pl.Series("outcome", np.where(passed, "pass", "fail")),
            pl.Series("value", passed.astype(float)),
            pl.lit(pl.Series([[1.0, 1.0]])).first().alias("steps"),
            pl.col("token_count").cast(pl.String).alias("answer"),
            pl.lit(pl.Series([["3*4=12", "12+5=17"]])).first().alias("path"),
            pl.lit("the final answer is the reference's").alias("rationale"),
        )

    def decisions(self, number: int, scores: pl.DataFrame) -> pl.DataFrame:
        """What three filters say, each of what the one before kept."""
        rest, parts = scores.select("candidate_id", "prompt_id", kept=pl.col("outcome") == "pass"), []
        for position, name in enumerate(("correct", "equations_hold", "distinct")):
            parts.append(
                rest.with_columns(
                    pl.Series("decision_id", self.ids("dec", number, rest.height)),
                    filter=pl.lit(name),
                    position=pl.lit(position),
                    reason=pl.when("kept").then(None).otherwise(pl.lit("not kept")),
                )
            )
            rest = rest.filter("kept").with_columns(
                kept=pl.Series(self._draw.random(int(rest["kept"].sum())) < 0.8)
            )
        return pl.concat(parts)

    def steps(self, number: int, training: str, examples: list[str]) -> pl.DataFrame:
        """A ledger that feeds every example once."""
        fed = [examples[start : start + BATCH] for start in range(0, len(examples), BATCH)]
        return pl.DataFrame(
            {
                "step_id": [step_id(number, training, step) for step in range(len(fed))],
                "training_id": training,
                "step": range(len(fed)),
                "epoch": 0,
                "example_ids": fed,
                "loss": 1.0,
                "learning_rate": 1e-3,
                "grad_norm": 1.0,
                "tokens": 2000,
            }
        )


def write_round(log: Log, facts: Facts, number: int, champion: str) -> str:
    """One round's facts through the log, sealed; returns the checkpoint that it made and promoted."""
    log.once(_unit(number, "start"), "rounds", lambda: _state(number, "started", champion, None))
    prompts = facts.ids("prompt", number, -(-facts.size // SAMPLES))
    columns = {"split": "train", "source": "bench", "text": [f"How many? {one}" for one in prompts]}
    log.once(
        _unit(number, "admit"),
        "prompts",
        lambda: pl.DataFrame({"prompt_id": prompts, **columns, "topic": "sum"}),
    )
    candidates = facts.candidates(number, prompts, champion, facts.size)
    append(log, "candidates", number, "generate", candidates)
    scores = facts.scores(number, candidates)
    append(log, "scores", number, "verify", scores)
    units = append(log, "decisions", number, "filter", facts.decisions(number, scores))
    keys = [unit.key for unit in units]
    parameters = {"loop": LOOP, "round": number, "units": keys}
    snapshot = freeze(log, _unit(number, "freeze"), "sft", keys, parameters)
    checkpoint = _train(log, facts, number, champion, snapshot)
    log.once(_unit(number, "close"), "rounds", lambda: _state(number, "finished", champion, checkpoint))
    seal_rounds(log, LOOP)
    return checkpoint


def append(log: Log, table: str, number: int, step: str, rows: pl.DataFrame) -> list[Unit]:
    """Append rows in units of UNIT_ROWS, some to a commit; returns the units."""
    parts = list(rows.iter_slices(UNIT_ROWS))
    units = [_unit(number, step, shard) for shard in range(len(parts))]
    for start in range(0, len(units), UNITS_A_COMMIT):
        log.once_each(units[start : start + UNITS_A_COMMIT], table, _given(parts))
    return units


def open_bench(log: Log) -> str:
    """The base that the first round starts from."""
    row = {
        "checkpoint_id": BASE,
        "content_hash": "0" * 64,
        "role": "policy",
        "path": "/nowhere",
        "origin": "{}",
    }
    log.once(_unit(0, "base"), "checkpoints", lambda: pl.DataFrame([row]))
    return BASE


def _train(log: Log, facts: Facts, number: int, parent: str, snapshot: str) -> str:
    training = facts.ids("train", number, 1)[0]
    folder = log.lake.place(f"snapshots/{snapshot}")
    candidates = pl.read_parquet(folder / "examples.parquet", columns=["candidate_id"])["candidate_id"]
    examples = [example_id(one) for one in candidates]
    log.once(_unit(number, "steps"), "steps", lambda: facts.steps(number, training, examples))
    checkpoint = checkpoint_id(number, training)
    finished = {
        "event_id": facts.ids("event", number, 1)[0],
        "training_id": training,
        "state": "finished",
        "objective": "sft",
        "snapshot_id": snapshot,
        "base_checkpoint_id": parent,
        "checkpoint_id": checkpoint,
        "hyperparameters": "{}",
        "seed": 0,
        "devices": "1 x cpu",
        "step_count": -(-len(examples) // BATCH),
        "tokens": 1,
        "loss": 1.0,
        "seconds": 1.0,
    }
    log.once(_unit(number, "train-finish"), "trainings", lambda: pl.DataFrame([finished]))
    weights = {"content_hash": "1" * 64, "parent_id": parent, "training_id": training, "role": "policy"}
    row = {"checkpoint_id": checkpoint, **weights, "path": "/nowhere"}
    log.once(_unit(number, "train"), "checkpoints", lambda: pl.DataFrame([row]))
    return checkpoint


def _state(number: int, state: str, champion: str, checkpoint: str | None) -> pl.DataFrame:
    row = {
        "event_id": round_event_id(number, LOOP, "started" if state == "started" else "closed"),
        "state": state,
        "recipe": "rft",
        "recipe_hash": "bench",
        "recipe_values": json.dumps({}),
        "night_begins": 0,
        "night_ends": number + 1,
        "champion_in": champion,
        "challenger": checkpoint,
        "champion_out": checkpoint,
        "reason": None if checkpoint is None else "bench",
    }
    return pl.DataFrame([row])


def _unit(number: int, step: str, shard: int = 0) -> Unit:
    return Unit(LOOP, number, step, shard, "bench")


def _given(parts: Sequence[pl.DataFrame]) -> Callable[[Sequence[Unit]], list[pl.DataFrame]]:
    return lambda missing: [parts[unit.shard] for unit in missing]
