"""Requests to an endpoint as facts: each is appended about a second after it has finished, and is later read
back instead of sent again.

Covered: killed anywhere, what was recorded is not asked for again; two that race for the same unit end with
the same rows; a request that failed for good stays failed. Not covered: what was in flight, or finished in
the last second, when the process was killed is paid for again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from flows.round.progress import reporter
from schemas.identity import request_id
from schemas.recipes.shared import Sampling
from schemas.tables import REQUESTS
from schemas.units import Unit
from tasks.generate.engine import Progress, Sample
from tasks.generate.served.requests import Reply
from tasks.generate.served.served import ServedEngine
from tasks.generate.served.spending import Spending
from tasks.models.conversation import Prompt
from warehouse.lake import Lake, Where
from warehouse.log import Log
from warehouse.query import query
from warehouse.store.fault import reached

EVERY = 1.0  # seconds between two appends

_ROWS = """
    SELECT * FROM requests
    WHERE loop = $loop AND round = $round AND starts_with(unit, $begins) AND ends_with(unit, $ends)"""
_SPENT = """
    SELECT coalesce(sum(tokens), 0)::BIGINT AS tokens, coalesce(sum(cost), 0) AS cost
    FROM requests WHERE loop = $loop AND checkpoint_id = $checkpoint_id"""


class Recorded:
    """An endpoint as an engine for one unit of a round, through table `requests`.

    `setting` is where the recipe has the endpoint.
    """

    def __init__(
        self,
        log: Log,
        served: ServedEngine,
        unit: Unit,
        checkpoint_id: str,
        prompt_ids: Mapping[Prompt, str],
        setting: str = "engine",
    ) -> None:
        self.tokenizer = served.tokenizer
        self._log, self._served, self._unit = log, served, unit
        self._checkpoint_id, self._prompt_ids, self._setting = checkpoint_id, prompt_ids, setting

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """As Engine.generate, but where requests failed for good a prompt has fewer samples, or none.

        `progress` counts what was asked for now. EndpointError where the endpoint or the budget gives out.
        """
        journal = Journal(self._log, self._unit, self._checkpoint_id, self._prompt_ids)
        indices = range(sampling.samples)
        missing = [
            [i for i in indices if not journal.knows(prompt, seed + i)]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        asks = self._served.asks(prompts, missing, seeds)
        spending = spent(self._log.lake, self._unit.loop, self._checkpoint_id, self._served, self._setting)
        replies = self._served.each(asks, sampling, spending)
        try:
            for reply in replies:
                if reply is not None:
                    journal.add(reply)
                    if progress is not None:
                        progress(len(reply.samples))
                journal.append_if_due()
        finally:
            replies.close()
            journal.new += self._served.unanswered
            journal.append()
        journal.tell_failures()
        if "seed" in self._served.dialect.left_out:
            reporter().say("  the endpoint takes no seed: its answers cannot be drawn again")
        rows = [
            [journal.samples.get((hash_of(prompt), seed + i)) for i in indices]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return [[one for one in samples if one is not None] for samples in rows]


def spent(lake: Lake, loop: str, checkpoint_id: str, served: ServedEngine, setting: str) -> Spending:
    """The budget of an endpoint, and what the loop's requests to its model have taken so far."""
    where = {"loop": loop, "checkpoint_id": checkpoint_id}
    row = query(lake, _SPENT, where, scope={"loop": loop}).row(0, named=True)
    return Spending(served.endpoint.budget, row["tokens"], row["cost"], setting)


class Journal:
    """One unit's requests: those on record, and `new` ones, that have finished since the last append."""

    def __init__(self, log: Log, unit: Unit, checkpoint_id: str, prompt_ids: Mapping[Prompt, str]) -> None:
        self.samples: dict[tuple[str, int], Sample] = {}
        self._log, self._step, self._unit = log, f"ask-{unit.step}-{unit.shard}", unit
        self._checkpoint_id, self._prompt_ids = checkpoint_id, prompt_ids
        self._known: set[tuple[str, int]] = set()
        self.new: list[Reply] = []
        self._failures: list[str] = []
        self._appended = time.monotonic()
        first = self._part(0).key
        begins, ends = first[: first.rindex("/00000/")] + "/", f"/{unit.recipe}"
        where: Where = {"loop": unit.loop, "round": unit.round}
        rows = query(log.lake, _ROWS, {**where, "begins": begins, "ends": ends}, scope=where)
        self._parts = rows["unit"].n_unique()
        self._take(rows)
        self._failures.clear()

    def knows(self, prompt: Prompt, seed: int) -> bool:
        """Whether a sample is on record, or failed for good."""
        return (hash_of(prompt), seed) in self._known

    def add(self, reply: Reply) -> None:
        """A request has finished."""
        self.new.append(reply)
        reached("request: finished")

    def append_if_due(self) -> None:
        """Append what has finished, about once a second."""
        if time.monotonic() - self._appended >= EVERY:
            self.append()

    def append(self) -> None:
        """Append what has finished. What another writer has recorded meanwhile is taken in its place."""
        while self.new:
            unit, new = self._part(self._parts), list(self.new)
            rows = self._log.once(unit, "requests", lambda unit=unit, new=new: self._rows(unit, new))  # type: ignore[misc]
            self._parts += 1
            self._take(rows)
            ours = set(self._rows(unit, new)["request_id"]) == set(rows["request_id"])
            self.new = [] if ours else [one for one in new if not self._has(one)]
        self._appended = time.monotonic()

    def tell_failures(self) -> None:
        """Say how many requests have failed for good in this process, and why the first did."""
        if self._failures:
            reporter().say(
                f"  {len(self._failures):,} requests failed for good, the first: {self._failures[0]}"
            )

    def _part(self, number: int) -> Unit:
        return replace(self._unit, step=self._step, shard=number)

    def _has(self, reply: Reply) -> bool:
        prompt, seed = hash_of(reply.ask.prompt), reply.ask.seed
        return all((prompt, seed + i) in self._known for i in range(reply.ask.count))

    def _take(self, rows: pl.DataFrame) -> None:
        """Rows of table `requests` as samples that are known."""
        for row in rows.to_dicts():
            prompt = row["prompt_hash"]
            samples = samples_of(row)
            self.samples |= {(prompt, one.seed): one for one in samples}
            seeds = {one.seed for one in samples}
            if row["error"] is not None and row["state"] != "unanswered":
                self._failures.append(row["error"])
                seeds |= set(range(row["seed"], row["seed"] + row["samples"]))
            self._known |= {(prompt, seed) for seed in seeds}

    def _rows(self, unit: Unit, replies: Sequence[Reply]) -> pl.DataFrame:
        return REQUESTS.frame([self._row(unit, reply) for reply in replies])

    def _row(self, unit: Unit, reply: Reply) -> dict[str, Any]:
        ask, samples = reply.ask, reply.samples
        prompt = hash_of(ask.prompt)
        state = "finished" if samples else "failed" if reply.final else "unanswered"
        return {
            "request_id": request_id(unit.key, self._checkpoint_id, prompt, ask.seed, ask.first),
            "checkpoint_id": self._checkpoint_id,
            "prompt_id": self._prompt_ids.get(ask.prompt),
            "prompt_hash": prompt,
            "seed": ask.seed,
            "sample_index": ask.first,
            "samples": ask.count,
            "state": state,
            "error": reply.error,
            "status": reply.status,
            "attempts": reply.attempts,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "tokens": reply.tokens,
            "cost": reply.cost,
            "seconds": reply.seconds,
            "indices": [one.index for one in samples],
            "texts": [one.text for one in samples],
            "finish_reasons": [one.finish_reason for one in samples],
            "token_counts": [one.token_count for one in samples],
            "logprob_sums": [one.logprob_sum for one in samples],
        }


def samples_of(row: Mapping[str, Any]) -> list[Sample]:
    """The samples of a row of table `requests`, without their tokens, which are not on record."""
    columns = zip(
        row["indices"] or (),
        row["texts"] or (),
        row["finish_reasons"] or (),
        row["token_counts"] or (),
        row["logprob_sums"] or (),
        strict=True,
    )
    before = row["seed"] - row["sample_index"]
    return [
        Sample(i, before + i, text, reason, count, total, (), ()) for i, text, reason, count, total in columns
    ]


def hash_of(prompt: Prompt) -> str:
    """SHA-256 of a request's prompt; a conversation's bytes begin with one that no text has."""
    data = prompt.encode() if isinstance(prompt, str) else b"\xff" + prompt.json.encode()
    return hashlib.sha256(data).hexdigest()
