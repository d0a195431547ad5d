"""What a teacher's distributions cost on record and in a training: `python -m bench.distil`.

A teacher answers the tutor's stories; of each kind of soft targets the table has bytes a token (as appended,
and what the ids take of them), seconds for a thousand tokens to ask, to append and to hash in a snapshot, the
share of the writing of the texts that the first two are, and what a training of one pass takes beside
supervised fine-tuning on the same texts: from the log, or asking the teacher.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.commands.environment import prepare

prepare()

import polars as pl  # noqa: E402
from rich.console import Console  # noqa: E402

import tutor  # noqa: E402
import tutor.prompts  # noqa: E402
from flows.pages.show import rows_table  # noqa: E402
from schemas.job import Distil, Hyperparameters, TrainingJob  # noqa: E402
from schemas.recipes.shared import Sampling  # noqa: E402
from schemas.tables import SOFT_TARGETS  # noqa: E402
from schemas.units import Unit  # noqa: E402
from tasks.generate.embedded.embedded import EmbeddedEngine  # noqa: E402
from tasks.models.checkpoint import load_tokenizer  # noqa: E402
from tasks.models.rendering import prompt_tokens  # noqa: E402
from tasks.train.loop import fit  # noqa: E402
from tasks.train.soft_targets import soft_target_rows, teacher_of  # noqa: E402
from warehouse.delta.complete import complete  # noqa: E402
from warehouse.delta.datafile import write_rows  # noqa: E402
from warehouse.lake import Lake  # noqa: E402
from warehouse.snapshot import content_hash  # noqa: E402

KINDS = {
    "top 32": Distil(k=32),
    "top 32, float16": Distil(k=32, precision="float16"),
    "top 50": Distil(k=50),
    "top 50, float16": Distil(k=50, precision="float16"),
    "12 drawn": Distil(support="sampled", k=12),
}
COLUMNS = ("teacher_ids", "teacher_logprobs", "tail_logprobs")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a function gives, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def texts_of(teacher: Path, count: int) -> tuple[pl.DataFrame, float]:
    """A teacher's answers to so many stories, with their tokens; the seconds that it wrote for."""
    stories = tutor.prompts.draw_stories(0, 0, count, (1, 2, 3), "varied")
    questions = stories["text"].to_list()
    with EmbeddedEngine(teacher) as engine:
        how = Sampling(samples=1, temperature=1.0, max_tokens=96)
        drawn, seconds = timed(lambda: engine.generate(questions, how, list(range(len(questions)))))
    rows = [
        {
            "example_id": f"ex-{place:05d}",
            "prompt": question,
            "response": samples[0].text,
            "token_ids": samples[0].token_ids,
        }
        for place, (question, samples) in enumerate(zip(questions, drawn, strict=True))
    ]
    return pl.DataFrame(rows), seconds


def trained(
    examples: pl.DataFrame, student: Path, objective: str, settings: Distil | None, teacher: Path | None
) -> float:
    """Seconds of a training of one pass, in memory alone."""
    hyper = Hyperparameters(epochs=1, batch_size=32, micro_batch_size=16, distil=settings)
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(
            training_id="train-00000-bench",
            objective=objective,
            snapshot_id="snap-00000-bench",
            snapshot=folder,
            base_checkpoint="ckpt-00000-student",
            base=str(student),
            output=f"{folder}/out",
            hyperparameters=hyper,
            teacher_id=None if teacher is None else "ckpt-00000-teacher",
            teacher=None if teacher is None else str(teacher),
        )
        return timed(lambda: fit(job, examples))[1]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=tutor.SEEDED_READER, help="its folder")
    parser.add_argument("--student", type=Path, default=tutor.READER, help="the student's folder")
    parser.add_argument("--texts", type=int, default=256, help="texts (256)")
    options = parser.parse_args()
    examples, writing = texts_of(options.teacher, options.texts)
    tokens = int(examples["token_ids"].list.len().sum())
    asked = prompt_tokens(load_tokenizer(options.student), examples["prompt"].to_list())
    texts = list(zip(examples["example_id"], asked, examples["token_ids"].to_list(), strict=True))
    teacher_of(options.teacher)  # that the first row does not pay for loading it
    plain = trained(examples, options.student, "sft", None, None)
    rows: list[dict[str, Any]] = [{"soft targets": "none (sft)", "training, s": plain}]
    for name, settings in KINDS.items():
        frames = soft_target_rows(options.teacher, "ckpt", texts, settings, 0)
        said, asking = timed(lambda frames=frames: pl.concat(frames))
        (size, parts), append = timed(lambda said=said: stored(said))
        frozen = examples.drop("response").with_columns(said[column] for column in COLUMNS)
        hashing = timed(lambda frozen=frozen: content_hash(frozen))[1]
        rows.append(
            {
                "soft targets": name,
                "bytes a token": size / tokens,
                "of ids": parts["teacher_ids"] / tokens,
                "asking, s a 1,000": 1000 * asking / tokens,
                "append": 1000 * append / tokens,
                "hashing": 1000 * hashing / tokens,
                "of writing": (asking + append) / writing,
                "training, s": trained(frozen, options.student, "distil", settings, None),
                "asking in it": trained(frozen, options.student, "distil", settings, options.teacher),
            }
        )
    whole = Distil(support="whole")
    bare = examples.drop("response")
    rows.append(
        {
            "soft targets": "whole",
            "asking in it": trained(bare, options.student, "distil", whole, options.teacher),
        }
    )
    columns = list(dict.fromkeys(column for row in rows for column in row))
    rows = [{column: row.get(column) for column in columns} for row in rows]
    console = Console(width=140)
    title = f"{options.texts} texts of {tokens / options.texts:.0f} tokens, written in {writing:.1f} s"
    console.print(rows_table(rows, title))
    return 0


def stored(said: pl.DataFrame) -> tuple[int, dict[str, int]]:
    """Bytes of soft targets as the log appends them, and of a file of one column each."""
    unit = Unit("bench", 0, "soft-targets")
    with tempfile.TemporaryDirectory() as folder:
        store = Lake.create(Path(folder) / "lake").store
        rows = complete(SOFT_TARGETS, [unit], [said])
        file = write_rows(store, SOFT_TARGETS, rows)
        parts = {}
        for column in COLUMNS:
            place = Path(folder) / column
            said.select(column).write_parquet(
                place, compression="zstd", compression_level=1, statistics=False
            )
            parts[column] = place.stat().st_size
    assert file is not None
    return file.size, parts


if __name__ == "__main__":
    raise SystemExit(main())
