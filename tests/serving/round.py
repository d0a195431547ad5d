"""One shard of a round by an endpoint, without Prefect: work for a process of its own that may be killed."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from flows.writers.recording import Recorded
from schemas.engine import Endpoint
from schemas.identity import base_id, guest_id, prompt_id
from schemas.recipes.shared import Sampling
from schemas.units import Unit
from tasks.generate.candidates import candidate_rows
from tasks.generate.served.served import ServedEngine
from tutor.world import stories
from warehouse.lake import Lake
from warehouse.log import Log

KEY = "sk-a-key-that-nobody-may-see-0123456789"
HASH = "0" * 64
TEACHER = guest_id(0, "ada", "teacher", HASH)
SAMPLING = Sampling(samples=2, temperature=1.0, max_tokens=16)
UNIT = Unit("ada", 0, "generate", 0, "r")
COUNT = 20


def shard(count: int = COUNT) -> pl.DataFrame:
    """The prompts of the shard."""
    texts = [story.question for story in stories(3, count)]
    ids = [prompt_id(0, "ada", "train", "tutor", i, text) for i, text in enumerate(texts)]
    lines = pl.int_range(count, eager=True)
    return pl.DataFrame({"prompt_id": ids, "split": "train", "source": "tutor", "line": lines, "text": texts})


def opened(lake: Lake) -> Log:
    """The shard's prompts and who writes, on record."""
    log = Log(lake)
    log.once(Unit("ada", 0, "admit"), "prompts", shard)
    made = {"content_hash": HASH, "path": "/nowhere"}
    rows = [
        {"checkpoint_id": base_id("ada", HASH), "role": "policy"} | made,
        {"checkpoint_id": TEACHER, "role": "teacher"} | made,
    ]
    log.once(Unit("ada", 0, "base"), "checkpoints", lambda: pl.DataFrame(rows))
    return log


def write(lake: Lake, endpoint: Endpoint) -> pl.DataFrame:
    """The shard's candidates."""
    log = opened(lake)
    prompts = shard().sort("prompt_id")
    ids = dict(prompts.select("text", "prompt_id").iter_rows())

    def made() -> pl.DataFrame:
        recorded = Recorded(log, ServedEngine(endpoint, KEY), UNIT, TEACHER, ids)
        return candidate_rows(recorded, prompts, SAMPLING, checkpoint_id=TEACHER, round_number=0, seed=5)

    return log.once(UNIT, "candidates", made)


def main(arguments: Sequence[str]) -> None:
    """The shard as a program: the lake's folder, and the endpoint as JSON."""
    root, endpoint = arguments
    write(Lake(root), Endpoint.model_validate_json(endpoint))
